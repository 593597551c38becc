import type { Clock } from '../clock.ts'
import { changeContact, changeKey, findAccount, findOrMakeAccount } from './account.ts'
import { readAuthorization } from './authorization.ts'
import { createCall } from './call.ts'
import type { Call, PostOptions } from './call.ts'
import { downloadCertificate } from './certificate-download.ts'
import { derOfPem } from './der.ts'
import { createDirectoryReader } from './directory-reader.ts'
import { withDeadline } from './deadline.ts'
import { AcmeError } from './error.ts'
import type { AcmeClient } from './index.ts'
import { createNonces } from './nonces.ts'
import { readNewOrder, readOrder } from './order.ts'
import { createRefusal } from './refusal.ts'
import { readRenewalWindow } from './renewal-window.ts'
import { revokeCertificate } from './revocation.ts'
import { createTransport } from './transport.ts'

/** What a client needs. */
export interface AcmeClientOptions {
  /** URL. */
  readonly directory: string
  /** PEM. */
  readonly accountKey: string
  /** Further roots to trust, PEM. */
  readonly certificates: string | undefined
  readonly clock: Clock
  /** How long each call may take. */
  readonly timeoutMs: number
}

/** How authorities answer about a certificate that they have not issued, or whose issuer they do not know. */
const UNKNOWN = [400, 404, 410]

/** Creates the client of one authority and one account key. */
export function createAcmeClient(options: AcmeClientOptions): AcmeClient {
  const { directory: directoryUrl, clock, timeoutMs } = options
  const transport = createTransport(options)
  const directory = createDirectoryReader(options, transport)
  const tools = { options, transport, directory, nonces: createNonces() }
  let identity: { readonly accountKey: string; readonly account?: string } = { accountKey: options.accountKey }

  function within<Value>(signal: AbortSignal, work: (call: Call) => Promise<Value>): Promise<Value> {
    return withDeadline({ directory: directoryUrl, timeoutMs, signal }, (both) => work(createCall(tools, both)))
  }

  /** Who resumes an order has not asked for the account yet. */
  async function knownAccount(call: Call): Promise<{ readonly accountKey: string; readonly account: string }> {
    const { accountKey, account = await findAccount(call, directoryUrl, accountKey) } = identity
    if (account === undefined) {
      const message = `${new URL(directoryUrl).host} knows no account of this key: another is made by the next attempt.`
      throw new AcmeError(directoryUrl, message)
    }
    remember(accountKey, account)
    return { accountKey, account }
  }

  function remember(accountKey: string, account: string | undefined): string | undefined {
    if (account !== undefined && identity.accountKey === accountKey) identity = { accountKey, account }
    return account
  }

  async function post(call: Call, url: string, request: Pick<PostOptions, 'asked' | 'payload' | 'accept'>) {
    return call.post(url, { ...request, ...(await knownAccount(call)) })
  }

  return {
    readDirectory: (signal) => within(signal, async (call) => (await call.directory()).shown),

    findAccount: (signal) =>
      within(signal, async (call) => {
        const { accountKey } = identity
        return remember(accountKey, await findAccount(call, directoryUrl, accountKey))
      }),

    findOrMakeAccount: (request, signal) =>
      within(signal, async (call) => {
        const { accountKey } = identity
        const account = await findOrMakeAccount(call, directoryUrl, accountKey, request)
        remember(accountKey, account)
        return account
      }),

    changeContact: (email, signal) =>
      within(signal, async (call) => changeContact(call, await knownAccount(call), email)),

    createOrder: ({ names, profile, replaces }, signal) =>
      within(signal, async (call) => {
        const identifiers = names.map((value) => ({ type: 'dns', value }))
        const payload = {
          identifiers,
          ...(profile !== undefined && { profile }),
          ...(replaces !== undefined && { replaces }),
        }
        const answer = await post(call, await call.resource('newOrder'), { asked: 'to make the order', payload })
        return readNewOrder(directoryUrl, answer, clock)
      }),

    readOrder: (url, signal) =>
      within(signal, async (call) =>
        readOrder(directoryUrl, url, await post(call, url, { asked: 'to show the order' }), clock),
      ),

    readAuthorization: (url, signal) =>
      within(signal, async (call) => {
        const answer = await post(call, url, { asked: 'to show the authorization' })
        return readAuthorization(directoryUrl, identity.accountKey, answer, clock)
      }),

    answerChallenge: (url, signal) =>
      within(signal, async (call) => {
        await post(call, url, { asked: 'to take up the challenge', payload: {} })
      }),

    deactivateAuthorization: (url, signal) =>
      within(signal, async (call) => {
        await post(call, url, { asked: 'to give up the authorization', payload: { status: 'deactivated' } })
      }),

    finalize: (order, csr, signal) =>
      within(signal, async (call) => {
        const payload = { csr: derOfPem(csr).toString('base64url') }
        const answer = await post(call, order.finalize, { asked: 'to issue the certificate', payload })
        return readOrder(directoryUrl, order.url, answer, clock)
      }),

    readCertificate: (url, signal, preferredRoot) =>
      within(signal, (call) =>
        downloadCertificate(directoryUrl, (from, request) => post(call, from, request), url, preferredRoot),
      ),

    readRenewalWindow: (certificateId, signal) =>
      within(signal, async (call) => {
        const url = await call.find('renewalInfo')
        if (url === undefined) return undefined
        const answer = await call.get(`${url.replace(/\/$/, '')}/${certificateId}`)
        if (UNKNOWN.includes(answer.status)) return undefined
        if (answer.status !== 200) throw createRefusal(directoryUrl, 'to tell the renewal window', answer, clock)
        return readRenewalWindow(directoryUrl, answer, clock)
      }),

    revoke: (certificate, reason, signal, certificateKey) =>
      within(signal, async (call) => {
        const signing = certificateKey === undefined ? await knownAccount(call) : { accountKey: certificateKey }
        await revokeCertificate(call, certificate, reason, { account: undefined, ...signing })
      }),

    changeKey: (newKey, signal) =>
      within(signal, async (call) => {
        const { accountKey: oldKey, account } = await knownAccount(call)
        await changeKey(call, directoryUrl, { account, oldKey, newKey })
        identity = { accountKey: newKey, account }
      }),

    close: () => transport.close(),
  }
}
