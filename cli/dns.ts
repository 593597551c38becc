import type { Command } from 'commander'
import type { Configuration } from '../services/configuration.ts'
import { createDnsCredentials } from '../services/dns-credentials.ts'
import type { CredentialPlace, ListedProvider, ListedVariable } from '../services/dns-credentials.ts'
import { SoakpError } from '../services/errors.ts'
import { show, withJson } from './answers.ts'
import type { List, OutputOptions } from './answers.ts'
import { withConnection } from './connection.ts'
import type { Answer } from './connection.ts'
import { tableLines } from './output.ts'
import { readSecret } from './secret-input.ts'
import { usageError } from './usage.ts'

interface Credential {
  readonly name: string
  readonly set_in: CredentialPlace
}

const PROVIDERS = '/soakp/dns/providers'

/** Adds `soakp dns ...`. */
export function addDnsCommands(program: Command): void {
  const dns = program.command('dns').description('list DNS providers, and store their credentials in the vault')

  withJson(dns.command('providers'))
    .description('list the providers for SOAKP_DNS, the variables that each reads and where they are set')
    .action(providers)
  withJson(dns.command('set <name>'))
    .description('store the value of a variable, asked for or read from standard input; nothing ever shows it again')
    .action(set)
  withJson(dns.command('unset <name>')).description('remove the value of a variable from the vault').action(unset)
}

async function providers(output: OutputOptions): Promise<void> {
  const showAll = (answer: Answer<List<ListedProvider>>) =>
    show(answer, output, ({ data }) => data.flatMap(providerLines))
  await withConnection(
    async (soakp) => showAll(await soakp.call<List<ListedProvider>>('GET', PROVIDERS)),
    // Whoever looks around first need not have a vault made for it.
    { withoutVault: async (configuration) => showAll(await withoutVault(configuration)) },
  )
}

async function withoutVault({ acme }: Configuration): Promise<Answer<List<ListedProvider>>> {
  const all = await createDnsCredentials(NO_SECRETS, acme?.dns.credentials ?? {}).list()
  const data = all.map((each) => ({ object: 'dns.provider', ...each }))
  const value = { object: 'list', data, has_more: false }
  return { text: JSON.stringify(value), value }
}

const NO_SECRETS = { find: async () => undefined, replace: async () => undefined }

async function set(asked: string, output: OutputOptions): Promise<void> {
  await withConnection(
    async (soakp) => {
      // Nobody should type a secret for nothing.
      const { data } = (await soakp.call<List<ListedProvider>>('GET', PROVIDERS)).value
      const name = ownName(data, asked)
      const value = await readSecret(name, 'value')
      const answer = await soakp.call<Credential>('PUT', pathOf(name), { value })
      show(answer, output, ({ set_in: place }) => [
        `${name} is stored in the vault.`,
        ...(place === 'environment' ? ['The environment sets it too, and that goes before the vault.'] : []),
      ])
    },
    { mayMake: true },
  )
}

async function unset(name: string, output: OutputOptions): Promise<void> {
  await withConnection(async (soakp) => {
    const answer = await soakp.call<Credential>('DELETE', pathOf(name))
    show(answer, output, (value) => [
      `${value.name} is removed from the vault.`,
      ...(value.set_in === 'environment' ? ['The environment sets it still.'] : []),
    ])
  })
}

function providerLines({ name, title, variables }: ListedProvider, index: number): string[] {
  const rows = variables.map((each) => [each.name, needText(each), placeText(each), meaningText(each)])
  return [
    ...(index === 0 ? [] : ['']),
    `${name}: ${title}`,
    ...tableLines(['VARIABLE', 'NEEDED', 'SET IN', 'MEANING'], rows).map((line) => `  ${line}`),
  ]
}

function needText({ optional }: ListedVariable): string {
  return optional ? '' : 'yes'
}

function placeText({ set_in: place }: ListedVariable): string {
  return place === 'nowhere' ? '' : place
}

function meaningText({ aliases, meaning, secret, storable }: ListedVariable): string {
  const kind = secret ? ' Secret.' : storable ? '' : ' In the environment only.'
  const also = aliases.length === 0 ? '' : ` Also ${aliases.join(', ')}.`
  return `${meaning}${kind}${also}`
}

/** What was meant as a name may be the secret: it is not repeated. */
function ownName(data: readonly ListedProvider[], asked: string): string {
  const variables = data.flatMap((each) => each.variables)
  const found = variables.find(({ name }) => name === asked) ?? variables.find(({ aliases }) => aliases.includes(asked))
  if (found?.storable === false) throw usageError(`${found.name} is set in the environment only, not in the vault.`)
  if (found !== undefined) return found.name
  const message = 'No DNS provider reads a variable of this name. `soakp dns providers` lists them all.'
  throw new SoakpError(404, 'SOAKP_DNS_VARIABLE_UNKNOWN', message)
}

function pathOf(name: string): string {
  return `/soakp/dns/credentials/${encodeURIComponent(name)}`
}
