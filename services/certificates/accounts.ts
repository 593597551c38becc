import { generateKeyPairSync } from 'node:crypto'
import type { AcmeConfiguration } from '../acme-configuration.ts'
import { AcmeError } from '../acme/error.ts'
import type { AcmeClient, AcmeDirectory } from '../acme/index.ts'
import { SoakpError } from '../errors.ts'
import { orAborted } from '../or-aborted.ts'
import type { Session } from './attempt.ts'
import type { Report } from './events.ts'
import { isRateLimited } from './failures.ts'
import type { AccountRecord, Records } from './records.ts'

/** The accounts at the directories, each under its own key. */
export interface Accounts {
  /** Reads the directory and finds or makes the account there. */
  signIn(directory: string, signal: AbortSignal): Promise<Session>
  /** A client for what needs no account. */
  open(directory: string): Promise<AcmeClient>
  /** Rolls the key of an account over. */
  changeKey(directory: string, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Creates the keeper of the accounts. */
export function createAccounts(
  { externalAccount, ...configuration }: Pick<AcmeConfiguration, 'email' | 'externalAccount'>,
  records: Records,
  createClient: (directoryUrl: string, accountKey: string) => AcmeClient,
  report: Report,
): Accounts {
  const email = configuration.email ?? null
  const clients = new Map<string, { readonly key: string; readonly client: AcmeClient }>()

  function clientOf(directory: string, key: string): AcmeClient {
    const known = clients.get(directory)
    if (known?.key === key) return known.client
    void known?.client.close().catch(() => undefined)
    const client = createClient(directory, key)
    clients.set(directory, { key, client })
    return client
  }

  /** The key is stored before the authority hears of it, so that the account is never lost. */
  async function findOrMakeKey(directory: string): Promise<AccountRecord> {
    const known = await records.readAccount(directory)
    if (known !== undefined) return known
    const made = { key: newAccountKey(), url: null }
    await records.writeAccount(directory, made)
    return made
  }

  /** A crash while the key was changed leaves two; the authority knows which one holds. */
  async function settleKeys(directory: string, account: AccountRecord, signal: AbortSignal): Promise<AccountRecord> {
    const { nextKey, ...before } = account
    if (nextKey === undefined) return account
    const url = await orAborted(signal, clientOf(directory, nextKey).findAccount(signal))
    const settled = url === undefined ? before : { ...before, key: nextKey, url }
    await records.writeAccount(directory, settled)
    return settled
  }

  function accountRequest(directory: AcmeDirectory, isKnown: boolean) {
    const request = { email: configuration.email }
    if (!directory.externalAccountRequired) return request
    if (externalAccount !== undefined) {
      return { ...request, externalAccount: { kid: externalAccount.kid, hmac: externalAccount.hmac.reveal() } }
    }
    if (isKnown) return request
    const { host } = new URL(directory.url)
    const message = `${host} asks for an external account: set SOAKP_ACME_EAB_KID and SOAKP_ACME_EAB_HMAC to what its site gave you.`
    throw new SoakpError(502, 'SOAKP_ACME_EXTERNAL_ACCOUNT', message)
  }

  /** An authority that does not take the address must not keep us from a certificate; it is told again by the next attempt. */
  async function changeContact(
    client: AcmeClient,
    directory: string,
    account: AccountRecord,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await orAborted(signal, client.changeContact(configuration.email, signal))
      await records.writeAccount(directory, { ...account, email })
    } catch (error) {
      if (!(error instanceof AcmeError) || isRateLimited(error)) throw error
      const message = `The e-mail address of the account was not changed: ${error.message}`
      report('warning', message, { directory, code: error.code, problem: error.problem?.type ?? null }, error)
    }
  }

  async function signIn(directoryUrl: string, signal: AbortSignal): Promise<Session> {
    const known = await settleKeys(directoryUrl, await findOrMakeKey(directoryUrl), signal)
    const client = clientOf(directoryUrl, known.key)
    const directory = await orAborted(signal, client.readDirectory(signal))
    try {
      const request = accountRequest(directory, known.url !== null)
      const account = await orAborted(signal, client.findOrMakeAccount(request, signal))
      if (account !== known.url) {
        await records.writeAccount(directoryUrl, { ...known, url: account, email })
        report('account-made', `An account at ${new URL(directoryUrl).host} was made: ${account}`, {
          directory: directoryUrl,
        })
      } else if (known.email !== email) {
        await changeContact(client, directoryUrl, known, signal)
      }
      return { client, directory, account }
    } catch (error) {
      if (known.url === null || !isDeactivated(error)) throw error
      await records.writeAccount(directoryUrl, { key: newAccountKey(), url: null })
      return signIn(directoryUrl, signal)
    }
  }

  return {
    signIn,
    open: async (directory) => clientOf(directory, (await findOrMakeKey(directory)).key),

    async changeKey(directory, signal) {
      const { client, account } = await signIn(directory, signal)
      const before = await findOrMakeKey(directory)
      const nextKey = newAccountKey()
      await records.writeAccount(directory, { ...before, url: account, nextKey })
      try {
        await orAborted(signal, client.changeKey(nextKey, signal))
      } finally {
        // Whatever it signs with now, the next one is made with the key that is stored.
        clients.delete(directory)
        await client.close()
      }
      await records.writeAccount(directory, { ...before, key: nextKey, url: account })
      report('account-key-changed', `The key of the account at ${new URL(directory).host} was changed.`, { directory })
    },

    async close() {
      const open = [...clients.values()]
      clients.clear()
      await Promise.allSettled(open.map(({ client }) => client.close()))
    },
  }
}

/** A deactivated account cannot be used again; a new key gets a new one. Any other refusal must not cost the account. */
function isDeactivated(error: unknown): boolean {
  const { type, detail = '' } = (error instanceof AcmeError && error.problem) || {}
  return type === 'unauthorized' && /deactivated|revoked/i.test(detail)
}

function newAccountKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
