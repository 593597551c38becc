import { join } from 'node:path'
import { Option } from 'commander'
import type { Command } from 'commander'
import { LOCAL_AUTHORITY_FILE } from '../services/data-files.ts'
import { readConfiguration } from '../services/configuration.ts'
import { SoakpError } from '../services/errors.ts'
import { isTrustedBy, readAuthority } from '../services/trust/authority.ts'
import type { AuthorityCertificate } from '../services/trust/authority.ts'
import { changeTrust, findTrustStores } from '../services/trust/index.ts'
import type { StoreKind, TrustChange } from '../services/trust/index.ts'
import { thisMachine } from '../services/trust/machine.ts'
import { show, withJson } from './answers.ts'
import type { OutputOptions } from './answers.ts'
import { EXIT } from './failures.ts'
import { describedLines, localTime } from './output.ts'
import { shellWord, shortPath } from './package.ts'

interface ChangeOptions extends OutputOptions {
  readonly store: 'system' | 'browsers' | 'all'
}

/** Adds `soakp ca ...`. */
export function addAuthorityCommands(program: Command): void {
  const authority = program.command('ca').description('have this machine trust the local authority, or no longer')
  const stores = () =>
    new Option('--store <kind>', 'change only these stores').choices(['system', 'browsers', 'all']).default('all')

  withJson(authority.command('show'))
    .description('show the certificate of the local authority, and what it can speak for')
    .action(showAuthority)
  withJson(authority.command('trust').addOption(stores()))
    .description('put it into the trust stores of this machine: the system, Chromium, Firefox')
    .action((options: ChangeOptions) => change('trust', options))
  withJson(authority.command('untrust').addOption(stores()))
    .description('take it out of them again')
    .action((options: ChangeOptions) => change('untrust', options))
}

async function showAuthority(output: OutputOptions): Promise<void> {
  const authority = await loadAuthority()
  const { file, sha256, subject, names, expiresAt } = authority
  const value = {
    object: 'local_authority',
    path: file,
    subject,
    sha256,
    names,
    expires_at: Math.floor(expiresAt.getTime() / 1_000),
    trusted_by_system: isTrustedBy('system', authority),
    trusted_by_node: isTrustedBy('default', authority),
  }
  show({ text: JSON.stringify(value), value }, output, () => [
    ...describedLines([
      ['Authority', subject],
      ['File', shortPath(file)],
      ['SHA-256', sha256],
      ['Limited to', names.join(', ')],
      ['Expires', localTime(value.expires_at)],
      ['System', value.trusted_by_system ? 'trusts it' : 'does not trust it: `soakp ca trust`'],
    ]),
    ...nodeLines(file),
  ])
}

async function change(direction: 'trust' | 'untrust', { store, ...output }: ChangeOptions): Promise<void> {
  const authority = await loadAuthority()
  const kinds: readonly StoreKind[] = store === 'all' ? ['system', 'browsers'] : [store]
  const machine = thisMachine()
  const changes: TrustChange[] = []
  for (const each of await findTrustStores(machine, authority, kinds)) {
    changes.push(await changeTrust(machine, each, direction))
  }
  if (changes.length === 0) {
    const message = `There is no trust store here that SOAKP knows. Have your system trust ${shellWord(authority.file)} by its own means.`
    throw new SoakpError(500, 'SOAKP_NO_TRUST_STORE', message)
  }
  const value = {
    object: 'list',
    data: changes.map(({ kind, commands, ...rest }) => ({ store: kind, ...rest, commands: commands.map(commandText) })),
  }
  show({ text: JSON.stringify(value), value }, output, () => [
    ...changes.flatMap(changeLines),
    ...(direction === 'trust' ? nodeLines(authority.file) : []),
  ])
  if (changes.some(({ status }) => status === 'failed')) process.exitCode = EXIT.failed
}

/** Returns what became of a store, and the commands to type where it was not done. */
export function changeLines({ name, status, message, commands }: TrustChange): string[] {
  return [
    `${status === 'failed' ? 'Not done' : 'Done'}: ${name}: ${message}`,
    ...(commands.length === 0 ? [] : ['  To do it by hand:', ...commands.map((each) => `  ${commandText(each)}`)]),
  ]
}

/** Node has its own list of authorities and asks no store of the system unless told to. */
function nodeLines(file: string): string[] {
  return [
    '',
    'Node has to be told, with either of:',
    `  NODE_EXTRA_CA_CERTS=${shellWord(file)} node app.js`,
    '  node --use-system-ca app.js     where the system trusts it',
  ]
}

async function loadAuthority(): Promise<AuthorityCertificate> {
  const { configuration } = readConfiguration(process.env, process.cwd())
  return readAuthority(join(configuration.dataDir, LOCAL_AUTHORITY_FILE))
}

function commandText(words: readonly string[]): string {
  return words.map(shellWord).join(' ')
}
