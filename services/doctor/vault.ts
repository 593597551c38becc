import { SoakpError } from '../errors.ts'
import type { Token } from '../tokens.ts'
import type { Key } from '../vault.ts'
import { fault, faultOf, ok, skipped } from './finding.ts'
import type { Result } from './finding.ts'
import type { Asking, Patient, Reading, RunningServer } from './patient.ts'
import { secretFault } from './settings.ts'

/** The vault as checks ask it: the running server, or a copy that is opened once. */
export interface VaultAccess extends Asking {
  /** The running server; throws when it does not answer. */
  server(): Promise<RunningServer | undefined>
  /** The same, undefined too when it does not answer. */
  serverIfAny(): Promise<RunningServer | undefined>
  /** Opens the vault if that was not done yet. */
  open(): Promise<Asking>
  /** The saved keys, 100 at most; none when the vault cannot be opened. */
  keys(): Promise<readonly Key[]>
  /** The newest time in the database, Unix seconds; undefined when there is none or it cannot be opened. */
  newestRecord(): Promise<number | undefined>
}

interface Page<Item> {
  readonly data: readonly Item[]
}

/** Creates the access; nothing is opened before it is asked for. */
export function createVaultAccess(patient: Patient): VaultAccess {
  let server: Promise<RunningServer | undefined> | undefined
  let opened: Promise<Asking> | undefined

  const findServer = () => (server ??= patient.findServer())
  const open = () => (opened ??= findServer().then((running) => running ?? patient.openVault()))

  async function list<Item>(path: string): Promise<readonly Item[]> {
    const { status, value } = await (await open()).ask('GET', path)
    return status === 200 ? (value as Page<Item>).data : []
  }

  return {
    open,
    server: findServer,
    serverIfAny: () => findServer().catch(() => undefined),
    ask: async (...words) => (await open()).ask(...words),
    keys: () => list<Key>('/soakp/keys?limit=100').catch(() => []),
    async newestRecord() {
      try {
        const [key, token] = await Promise.all([list<Key>('/soakp/keys?limit=1'), list<Token>('/soakp/tokens?limit=1')])
        const times = [...key.map((each) => each.updated_at), ...token.map((each) => each.created_at)]
        return times.length === 0 ? undefined : Math.max(...times)
      } catch {
        return undefined
      }
    },
  }
}

/** Checks that a server which runs on the folder answers. */
export async function checkServer(access: VaultAccess): Promise<Result> {
  const server = await access.server()
  if (server === undefined) return ok('No SOAKP runs on this data folder; its files are looked at.')
  const { status } = await server.ask('GET', '/soakp/ready')
  if (status === 200) return ok(`SOAKP runs on this data folder${server.address ? ` at ${server.address}` : ''}.`)
  return fault('SOAKP runs on this data folder but is not ready.', 'Look at its log, and start it again.')
}

/** Checks that the secret is strong and opens the vault. What a running server was given is not known here. */
export async function checkSecret(access: VaultAccess, reading: Reading): Promise<Result> {
  if ((await access.serverIfAny()) !== undefined) return ok('The running SOAKP has opened the vault with its own.')
  const setting = secretFault(reading)
  if (setting?.status === 'fault') return setting
  try {
    await access.open()
  } catch (error) {
    if (!(error instanceof SoakpError)) throw error
    if (error.code === 'SOAKP_CONTROL') return skipped('Not checked: first server must be right.')
    if (error.code === 'SOAKP_NO_VAULT') return setting ?? ok('There is no vault yet that it would have to open.')
    if (!isAboutDatabase(error)) return faultOf(error)
  }
  return setting ?? ok('It opens the vault.')
}

/** Checks that the database opens and is of this version. */
export async function checkDatabase(access: VaultAccess): Promise<Result> {
  try {
    const { status } = await (await access.open()).ask('GET', '/soakp/keys?limit=1')
    if (status === 200) return ok('It opens and can be read.')
    return fault(`The keys cannot be read (status ${status}).`, 'Look at the log of SOAKP.')
  } catch (error) {
    if (!(error instanceof SoakpError)) throw error
    return error.code === 'SOAKP_NO_VAULT' ? ok('There is none yet.') : faultOf(error)
  }
}

function isAboutDatabase({ code }: SoakpError): boolean {
  return code.startsWith('SOAKP_DATABASE') || code === 'SOAKP_MIGRATION' || code === 'SOAKP_ENVELOPE_REFUSED'
}
