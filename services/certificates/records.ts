import type { OwnSecrets } from '../own-secrets.ts'
import { createQueue } from '../queue.ts'
import type { CertificateEvent } from './index.ts'
import { noLimits } from './limits.ts'
import type { Limits } from './limits.ts'
import type { RevocationReason } from './revocation-reasons.ts'

/** A certificate as it is stored. Times are Unix milliseconds. */
export interface CertificateRecord {
  /** The chain, PEM, leaf first. */
  readonly certificate: string
  /** PKCS#8, PEM. */
  readonly key: string
  readonly names: readonly string[]
  readonly directory: string
  /** The URL of the account that ordered it. */
  readonly account: string
  readonly profile: string | null
  readonly issuedAt: number
  readonly revokedAt: number | null
  /** The reason for which it is being revoked, noted before the authority is asked. */
  readonly revoking?: RevocationReason | undefined
  /** From 0 up to 1: how early within the jitter this one is renewed. */
  readonly jitter: number
  readonly window: ChosenWindow | null
  /** When the authority is to be asked for the window next. */
  readonly windowAgainAt: number
}

/** A renewal window (RFC 9773) with the point that was chosen in it, once. Times are Unix milliseconds. */
export interface ChosenWindow {
  readonly start: number
  readonly end: number
  readonly chosen: number
  readonly explanationUrl: string | null
}

/** An order that is under way, with the key of its certificate. Times are Unix milliseconds. */
export interface OpenOrder {
  readonly url: string
  readonly directory: string
  /** What it is for: `trial` is proved at a staging directory only, and nothing of its certificate is used. */
  readonly purpose: 'issue' | 'trial'
  readonly names: readonly string[]
  readonly profile: string | null
  readonly csr: string
  readonly key: string
  /** The TXT values that its challenges need, so that a sweep leaves them. */
  readonly values: readonly string[]
  readonly createdAt: number
}

/** The account at one directory, with the address it was told. `nextKey` is there while the key is being changed. */
export interface AccountRecord {
  readonly key: string
  readonly url: string | null
  readonly email?: string | null
  readonly nextKey?: string | undefined
}

/** The engine's documents. Each is one sealed secret and is replaced as a whole: a crash leaves the old or the new. */
export interface Records {
  readCertificate(): Promise<CertificateRecord | undefined>
  writeCertificate(record: CertificateRecord): Promise<void>
  /** Changes what is noted of a certificate; false when another is stored by now. */
  changeCertificate(
    of: Pick<CertificateRecord, 'certificate'>,
    change: (record: CertificateRecord) => CertificateRecord,
  ): Promise<boolean>
  readOrders(): Promise<readonly OpenOrder[]>
  /** Notes an order in place of another of the same directory and purpose. */
  writeOrder(order: OpenOrder): Promise<void>
  forgetOrder(order: Pick<OpenOrder, 'url'>): Promise<void>
  readAccount(directory: string): Promise<AccountRecord | undefined>
  listAccounts(): Promise<Readonly<Record<string, AccountRecord>>>
  writeAccount(directory: string, account: AccountRecord): Promise<void>
  readLimits(): Promise<Limits>
  /** Changes what is stored; holds in this process also when it cannot be stored. */
  changeLimits(change: (limits: Limits) => Limits): Promise<void>
  readEvents(): Promise<readonly CertificateEvent[]>
  writeEvents(events: readonly CertificateEvent[]): Promise<void>
}

const CERTIFICATE = 'acme-certificate'
const ORDERS = 'acme-orders'
const ACCOUNTS = 'acme-accounts'
const LIMITS = 'acme-limits'
const EVENTS = 'acme-events'

/** Creates the engine's documents over SOAKP's own secrets. */
export function createRecords(secrets: OwnSecrets): Records {
  // The envelope is authenticated and bound to its id: what comes out is what was put in under it.
  const read = async <Value>(id: string) => (await secrets.find(id)) as Value | undefined
  const readCertificate = () => read<CertificateRecord>(CERTIFICATE)
  const readOrders = async () => (await read<{ orders: OpenOrder[] }>(ORDERS))?.orders ?? []
  const listAccounts = async () => (await read<Record<string, AccountRecord>>(ACCOUNTS)) ?? {}
  let limits: Limits | undefined
  const readLimits = async () => limits ?? (await read<Limits>(LIMITS)) ?? noLimits
  const inTurn = createQueue()

  return {
    readCertificate,
    writeCertificate: (record) => inTurn(() => secrets.replace(CERTIFICATE, record)),
    changeCertificate: ({ certificate }, change) =>
      inTurn(async () => {
        const stored = await readCertificate()
        if (stored?.certificate !== certificate) return false
        await secrets.replace(CERTIFICATE, change(stored))
        return true
      }),
    readOrders,
    writeOrder: (order) =>
      inTurn(async () => {
        const others = (await readOrders()).filter(
          ({ directory, purpose }) => directory !== order.directory || purpose !== order.purpose,
        )
        await secrets.replace(ORDERS, { orders: [...others, order] })
      }),
    forgetOrder: ({ url }) =>
      inTurn(async () => {
        const orders = await readOrders()
        const others = orders.filter((order) => order.url !== url)
        if (others.length < orders.length) await secrets.replace(ORDERS, { orders: others })
      }),
    readAccount: async (directory) => (await listAccounts())[directory],
    listAccounts,
    writeAccount: (directory, account) =>
      inTurn(async () => secrets.replace(ACCOUNTS, { ...(await listAccounts()), [directory]: account })),
    readLimits,
    changeLimits: (change) =>
      inTurn(async () => {
        limits = change(await readLimits())
        await secrets.replace(LIMITS, limits)
      }),
    readEvents: async () => (await read<{ events: CertificateEvent[] }>(EVENTS))?.events ?? [],
    writeEvents: (events) => secrets.replace(EVENTS, { events }),
  }
}
