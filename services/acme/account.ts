import { isObject, readJson } from '../json.ts'
import type { Call } from './call.ts'
import { AcmeError } from './error.ts'
import type { AccountRequest } from './index.ts'
import type { AcmeAnswer } from './transport.ts'
import { signKeyChange } from './wire.ts'

/** Finds the URL of a key's account; undefined where the authority knows none (RFC 8555 section 7.3.1). */
export async function findAccount(call: Call, directory: string, accountKey: string): Promise<string | undefined> {
  try {
    const answer = await call.post(await call.resource('newAccount'), {
      asked: 'to find the account',
      payload: { onlyReturnExisting: true },
      accountKey,
      account: undefined,
    })
    return readAccountUrl(directory, answer)
  } catch (error) {
    if (error instanceof AcmeError && error.problem?.type === 'accountDoesNotExist') return undefined
    throw error
  }
}

/**
 * Finds the account of a key, or makes it. Asking first keeps the external account's secret, which some authorities take
 * only once, from being sent for nothing.
 */
export async function findOrMakeAccount(
  call: Call,
  directory: string,
  accountKey: string,
  request: AccountRequest,
): Promise<string> {
  try {
    const found = await findAccount(call, directory, accountKey)
    if (found !== undefined) return found
  } catch (error) {
    // Some want the binding, or the agreement to their terms, even from who only asks.
    if (!(error instanceof AcmeError) || !MORE_IS_WANTED.includes(error.problem?.type ?? '')) throw error
  }
  return makeAccount(call, directory, accountKey, request)
}

const MORE_IS_WANTED = ['externalAccountRequired', 'malformed', 'userActionRequired']

/** Makes an account, agreeing to the terms; returns its URL, also that of one which was there already. */
async function makeAccount(
  call: Call,
  directory: string,
  accountKey: string,
  { email, externalAccount }: AccountRequest,
): Promise<string> {
  const answer = await call.post(await call.resource('newAccount'), {
    asked: 'to make the account',
    payload: { termsOfServiceAgreed: true, ...(email !== undefined && { contact: contactOf(email) }) },
    accountKey,
    account: undefined,
    externalAccount,
  })
  return readAccountUrl(directory, answer)
}

/** Tells the authority where the holder of an account is reached from now on (RFC 8555 section 7.3.2); undefined for nowhere. */
export async function changeContact(
  call: Call,
  signing: { readonly accountKey: string; readonly account: string },
  email: string | undefined,
): Promise<void> {
  const asked = 'to change the e-mail address of the account'
  await call.post(signing.account, { asked, payload: { contact: contactOf(email) }, ...signing })
}

function contactOf(email: string | undefined): string[] {
  return email === undefined ? [] : [`mailto:${email}`]
}

/**
 * Rolls an account over to a new key and proves it: an authority may answer "done" and have done nothing, or fail when it
 * is done. Throws `AcmeError` when the account still has the old key.
 */
export async function changeKey(
  call: Call,
  directory: string,
  { account, oldKey, newKey }: { readonly account: string; readonly oldKey: string; readonly newKey: string },
): Promise<void> {
  const url = await call.resource('keyChange')
  let failure: AcmeError | undefined
  try {
    const payload = signKeyChange(url, account, oldKey, newKey)
    await call.post(url, { asked: 'to change the account key', payload, accountKey: oldKey, account })
  } catch (error) {
    if (!(error instanceof AcmeError) || isDecided(error)) throw error
    failure = error
  }
  if ((await findAccount(call, directory, newKey)) === account) return
  const message = `${new URL(directory).host} did not take the new account key, most likely because it has another account of that key: the old key goes on. Try again with a new key.`
  throw failure ?? new AcmeError(directory, message)
}

function isDecided({ answered }: AcmeError): boolean {
  return answered !== undefined && answered >= 400 && answered < 500
}

function readAccountUrl(directory: string, { url, headers, text }: AcmeAnswer): string {
  const { host } = new URL(url)
  const value = readJson(text)
  const status = isObject(value) ? value['status'] : undefined
  if (status === 'deactivated' || status === 'revoked') {
    throw new AcmeError(directory, `The account at ${host} is ${status}: another account key is needed.`)
  }
  const location = URL.parse(headers['location'] ?? '', url)
  if (headers['location'] !== undefined && location !== null) return location.href
  throw new AcmeError(directory, `${host} does not tell the account's address: it is asked again later.`)
}
