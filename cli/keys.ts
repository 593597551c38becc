import type { Command } from 'commander'
import type { KeyCheck } from '../services/key-check.ts'
import type { MintedToken } from '../services/tokens.ts'
import type { Key } from '../services/vault.ts'
import { moreLines, queryOf, show, withJson } from './answers.ts'
import type { List, OutputOptions, PageOptions } from './answers.ts'
import { confirm } from './confirm.ts'
import { withConnection } from './connection.ts'
import { EXIT, inCommands } from './failures.ts'
import { nextStepLines } from './next-steps.ts'
import { readWhole } from './option-values.ts'
import { describedLines, localTime, tableLines } from './output.ts'
import { readSecret } from './secret-input.ts'

interface AddOptions extends OutputOptions {
  readonly name?: string
  readonly baseUrl?: string
  readonly organization?: string
  readonly project?: string
}

/** Adds `soakp keys ...`. */
export function addKeyCommands(program: Command): void {
  const keys = program.command('keys').description('save, list, check, rename, replace and delete API keys')

  withJson(keys.command('add'))
    .description('save a key, asked for or read from standard input, and print a token for it')
    .option('--name <name>', 'what to call it')
    .option('--base-url <url>', "the upstream, https://host/v1 (default: SOAKP_UPSTREAM, which is OpenAI's)")
    .option('--organization <id>', 'goes with every call of this key')
    .option('--project <id>', 'goes with every call of this key')
    .action(add)
  withJson(keys.command('list'))
    .description('list the keys, newest first; nothing ever shows a key itself')
    .option('--limit <number>', 'at most so many, 1 to 100 (default: 20)', readWhole)
    .option('--after <id>', 'those after this one')
    .action(list)
  withJson(keys.command('show <id>')).description('show a key').action(showOne)
  withJson(keys.command('rename <id> <name>')).description('call a key something else').action(rename)
  withJson(keys.command('check <id>'))
    .description('ask the upstream whether it takes a key; exit code 4 if not')
    .action(check)
  withJson(keys.command('replace <id>'))
    .description('put a new key in the place of an old one, asked for or read from standard input; its tokens go on')
    .action(replace)
  withJson(keys.command('delete <id>'))
    .description('delete a key and end its tokens')
    .option('-y, --yes', 'do not ask')
    .action(remove)
}

async function add({ name, baseUrl, organization, project, ...output }: AddOptions): Promise<void> {
  await withConnection(
    async (soakp) => {
      const key = await readSecret('API key')
      const body = { key, name, base_url: baseUrl, organization, project }
      const answer = await soakp.call<Key & { token: MintedToken }>('POST', '/soakp/keys', body)
      show(answer, output, ({ token, ...saved }) => [
        ...describedLines([
          ['Key', `${saved.id}${saved.name === saved.id ? '' : ` (${saved.name})`} for ${saved.base_url}`],
          ['Token', token.token],
          ['', `${token.id}, shown this once, until ${localTime(token.expires_at)}`],
        ]),
        ...nextStepLines(soakp),
      ])
    },
    { mayMake: true },
  )
}

async function list({ limit, after, ...output }: PageOptions): Promise<void> {
  await withConnection(async (soakp) => {
    const answer = await soakp.call<List<Key>>('GET', `/soakp/keys${queryOf({ limit, after })}`)
    show(answer, output, (page) => {
      if (page.data.length === 0) return ['There are no keys. `soakp keys add` saves one.']
      const rows = page.data.map((key) => [key.id, key.name, key.base_url, localTime(key.created_at)])
      return [...tableLines(['ID', 'NAME', 'UPSTREAM', 'SAVED'], rows), ...moreLines(page)]
    })
  })
}

async function showOne(id: string, output: OutputOptions): Promise<void> {
  await withConnection(async (soakp) => {
    show(await soakp.call<Key>('GET', pathOf(id)), output, (key) =>
      describedLines([
        ['Key', key.id],
        ['Name', key.name],
        ['Upstream', key.base_url],
        ['Version', String(key.version)],
        ['Saved', localTime(key.created_at)],
        ['Changed', localTime(key.updated_at)],
      ]),
    )
  })
}

async function rename(id: string, name: string, output: OutputOptions): Promise<void> {
  await withConnection(async (soakp) => {
    const answer = await soakp.call<Key>('PATCH', pathOf(id), { name })
    show(answer, output, (key) => [`${key.id} is called ${key.name}.`])
  })
}

async function check(id: string, output: OutputOptions): Promise<void> {
  await withConnection(async (soakp) => {
    const answer = await soakp.call<KeyCheck & { id: string }>('POST', `${pathOf(id)}/check`)
    show(answer, output, ({ works, message }) => [
      `${id} ${works ? 'works' : 'does not work'}: ${inCommands(message.replace('{id}', id))}`,
    ])
    if (!answer.value.works) process.exitCode = EXIT.keyDoesNotWork
  })
}

async function replace(id: string, output: OutputOptions): Promise<void> {
  await withConnection(async (soakp) => {
    // Nobody should type a key for nothing.
    await soakp.call<Key>('GET', pathOf(id))
    const key = await readSecret(`New API key for ${id}`)
    const answer = await soakp.call<Key>('PUT', `${pathOf(id)}/value`, { key })
    show(answer, output, ({ version }) => [
      `${id} is replaced (version ${version}). Its tokens go on with the new key.`,
    ])
  })
}

async function remove(id: string, { yes, ...output }: OutputOptions & { yes?: true }): Promise<void> {
  await withConnection(async (soakp) => {
    const { value } = await soakp.call<Key>('GET', pathOf(id))
    await confirm(`Delete the key ${id} (${value.name}) and end its tokens?`, yes)
    const answer = await soakp.call('DELETE', pathOf(id))
    show(answer, output, () => [`${id} is deleted, and its tokens have ended.`])
  })
}

function pathOf(id: string): string {
  return `/soakp/keys/${encodeURIComponent(id)}`
}
