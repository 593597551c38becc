import type { Command } from 'commander'
import type { MintedToken, Token } from '../services/tokens.ts'
import type { Key } from '../services/vault.ts'
import { SoakpError } from '../services/errors.ts'
import { moreLines, queryOf, show, withJson } from './answers.ts'
import type { List, OutputOptions, PageOptions } from './answers.ts'
import { confirm } from './confirm.ts'
import { withConnection } from './connection.ts'
import type { Connection } from './connection.ts'
import { nextStepLines } from './next-steps.ts'
import { collect, readDuration, readWhole } from './option-values.ts'
import { describedLines, localTime, plainText, tableLines } from './output.ts'
import { usageError } from './usage.ts'

interface AddOptions extends OutputOptions {
  readonly key?: string
  readonly subject?: string
  readonly name?: string
  readonly expiresIn?: number
  readonly method?: readonly string[]
  readonly path?: readonly string[]
  readonly origin?: readonly string[]
  readonly requestsPerMinute?: number
  readonly requestsPerDay?: number
  readonly parallelRequests?: number
}

/** Adds `soakp tokens ...`. */
export function addTokenCommands(program: Command): void {
  const tokens = program.command('tokens').description('mint, list, rotate and revoke tokens')

  withJson(tokens.command('add'))
    .description('mint a token and print it, this once only')
    .option('--key <id>', 'the key that it is for; may be left out when there is one key only')
    .option('--subject <text>', 'who gets it')
    .option('--name <text>', 'what it is for')
    .option('--expires-in <time>', '90s, 15m, 12h, 30d or seconds (default: 30 days)', readDuration)
    .option('--method <method>', 'allow this method only, such as POST; repeatable', collect)
    .option(
      '--path <pattern>',
      'allow these paths only, as after /v1: * is one segment, ** the rest; repeatable',
      collect,
    )
    .option('--origin <origin>', 'let pages of this origin use it, https://app.example.com; repeatable', collect)
    .option('--requests-per-minute <number>', 'limit', readWhole)
    .option('--requests-per-day <number>', 'limit; days are UTC', readWhole)
    .option('--parallel-requests <number>', 'limit of calls at once', readWhole)
    .action(add)
  withJson(tokens.command('list'))
    .description('list the tokens, newest first; nothing ever shows a token again')
    .option('--key <id>', 'those of this key')
    .option('--limit <number>', 'at most so many, 1 to 100 (default: 20)', readWhole)
    .option('--after <id>', 'those after this one')
    .action(list)
  withJson(tokens.command('show <id>')).description('show what a token may do').action(showOne)
  withJson(tokens.command('rotate <id>'))
    .description('give a token a new JWT and print it, this once only; the old one works until the grace ends')
    .option('--grace <time>', '90s, 15m, 12h or seconds, at most a day (default: 300)', readDuration)
    .option('--expires-in <time>', 'a new end from now; without it the end stays', readDuration)
    .action(rotate)
  withJson(tokens.command('revoke <id>'))
    .description('revoke a token and end its running calls')
    .option('-y, --yes', 'do not ask')
    .action(revoke)
}

async function add(options: AddOptions): Promise<void> {
  await withConnection(async (soakp) => {
    const { subject, name, expiresIn, method, path, origin } = options
    const answer = await soakp.call<MintedToken>('POST', '/soakp/tokens', {
      key_id: options.key ?? (await onlyKey(soakp)),
      subject,
      name,
      expires_in: expiresIn,
      scope: { methods: method?.map((each) => each.toUpperCase()), paths: path },
      origins: origin,
      limits: {
        requests_per_minute: options.requestsPerMinute,
        requests_per_day: options.requestsPerDay,
        parallel_requests: options.parallelRequests,
      },
    })
    show(answer, options, (token) => [
      ...describedLines([
        ['Token', token.token],
        ['', `${token.id} for ${token.key_id}, shown this once, until ${localTime(token.expires_at)}`],
      ]),
      ...nextStepLines(soakp),
    ])
  })
}

async function onlyKey(soakp: Connection): Promise<string> {
  const { data, has_more: hasMore } = (await soakp.call<List<Key>>('GET', '/soakp/keys?limit=10')).value
  const [first, ...others] = data
  if (first === undefined) throw new SoakpError(409, 'SOAKP_NO_KEY', 'There is no key yet. `soakp keys add` saves one.')
  if (others.length === 0) return first.id
  const names = data.map(({ id, name }) => (name === id ? id : `${id} (${plainText(name)})`))
  throw usageError(`There are several keys; give one with --key: ${names.join(', ')}${hasMore ? ', …' : ''}.`)
}

async function list({ key, limit, after, ...output }: PageOptions & { key?: string }): Promise<void> {
  await withConnection(async (soakp) => {
    const answer = await soakp.call<List<Token>>('GET', `/soakp/tokens${queryOf({ key_id: key, limit, after })}`)
    show(answer, output, (page) => {
      if (page.data.length === 0) return ['There are no tokens. `soakp tokens add` mints one.']
      const rows = page.data.map((token) => [
        token.id,
        token.key_id,
        token.subject ?? '',
        token.name ?? '',
        stateOf(token),
        localTime(token.expires_at),
      ])
      return [...tableLines(['ID', 'KEY', 'SUBJECT', 'NAME', 'STATE', 'EXPIRES'], rows), ...moreLines(page)]
    })
  })
}

async function showOne(id: string, output: OutputOptions): Promise<void> {
  await withConnection(async (soakp) => {
    show(await soakp.call<Token>('GET', pathOf(id)), output, (token) =>
      describedLines([
        ['Token', `${token.id} (${stateOf(token)})`],
        ['Key', token.key_id],
        ['Subject', token.subject ?? undefined],
        ['Name', token.name ?? undefined],
        ['Minted', localTime(token.created_at)],
        ['Expires', localTime(token.expires_at)],
        ['Revoked', token.revoked_at === null ? undefined : localTime(token.revoked_at)],
        ['Methods', token.scope.methods?.join(' ') ?? 'all'],
        ['Paths', token.scope.paths?.join(' ') ?? 'all'],
        ['Origins', token.origins.length === 0 ? 'as SOAKP_ALLOWED_ORIGINS says' : token.origins.join(' ')],
        ['Limits', limitsOf(token)],
      ]),
    )
  })
}

async function rotate(
  id: string,
  { grace, expiresIn, ...output }: OutputOptions & { grace?: number; expiresIn?: number },
): Promise<void> {
  await withConnection(async (soakp) => {
    const body = { grace_seconds: grace, expires_in: expiresIn }
    const answer = await soakp.call<MintedToken>('POST', `${pathOf(id)}/rotate`, body)
    show(answer, output, (token) =>
      describedLines([
        ['Token', token.token],
        ['', `${token.id}, shown this once, until ${localTime(token.expires_at)}`],
        [
          'Old',
          token.previous_valid_until === null ? undefined : `works until ${localTime(token.previous_valid_until)}`,
        ],
      ]),
    )
  })
}

async function revoke(id: string, { yes, ...output }: OutputOptions & { yes?: true }): Promise<void> {
  await withConnection(async (soakp) => {
    const { value } = await soakp.call<Token>('GET', pathOf(id))
    const whose = value.subject ?? value.name
    await confirm(`Revoke the token ${id}${whose === null ? '' : ` (${plainText(whose)})`}?`, yes)
    const answer = await soakp.call('DELETE', pathOf(id))
    show(answer, output, () => [`${id} is revoked, and its running calls have ended.`])
  })
}

function stateOf({ revoked_at: revokedAt, expires_at: expiresAt }: Token): string {
  if (revokedAt !== null) return 'revoked'
  return expiresAt * 1_000 <= Date.now() ? 'expired' : 'live'
}

function limitsOf({ limits }: Token): string {
  const { requests_per_minute: minute, requests_per_day: day, parallel_requests: parallel } = limits
  return `${minute} a minute, ${day} a day, ${parallel} at once`
}

function pathOf(id: string): string {
  return `/soakp/tokens/${encodeURIComponent(id)}`
}
