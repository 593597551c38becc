import type { JWK } from 'jose'
import { newId } from './context.ts'
import type { Call, World } from './context.ts'
import type { Answer } from './faults.ts'
import { takeApart, thumbprintOf, verify, verifyBinding } from './jws.ts'
import { Refused } from './problem.ts'
import type { Account } from './store.ts'

/** Makes or finds an account (RFC 8555 section 7.3). */
export async function newAccount(world: World, { url, payload = {}, jwk }: Call): Promise<Answer> {
  if (jwk === undefined) throw new Refused(400, 'malformed', 'newAccount is signed with a key')
  const { store, externalAccounts } = world
  const thumbprint = await thumbprintOf(jwk)
  const known = store.accounts.find((each) => each.thumbprint === thumbprint)
  if (known?.status === 'deactivated') throw new Refused(403, 'unauthorized', 'The account is deactivated')
  if (known !== undefined) return show(world, known, 200)
  if (payload['onlyReturnExisting'] === true) {
    throw new Refused(400, 'accountDoesNotExist', 'No account exists with the key')
  }
  if (payload['termsOfServiceAgreed'] !== true) {
    throw new Refused(403, 'userActionRequired', 'The terms of service are not agreed to')
  }
  const contact = readContact(payload['contact'])
  const wanted = Object.keys(externalAccounts).length > 0
  const binding = payload['externalAccountBinding']
  if (wanted && binding === undefined)
    throw new Refused(403, 'externalAccountRequired', 'An external account is needed')
  const external = wanted ? await verifyBinding(binding, url, jwk, externalAccounts) : undefined
  const made: Account = { id: newId(), key: jwk, thumbprint, contact, status: 'valid', external }
  store.accounts.push(made)
  return show(world, made, 201)
}

/** Shows or changes an account (RFC 8555 sections 7.3.2 and 7.3.6). */
export async function account(world: World, { payload, path, account: signer }: Call): Promise<Answer> {
  if (signer === undefined || signer.id !== path[0]) throw new Refused(403, 'unauthorized', 'Not your account')
  if (payload?.['contact'] !== undefined) signer.contact = readContact(payload['contact'])
  if (payload?.['status'] === 'deactivated') signer.status = 'deactivated'
  return show(world, signer, 200)
}

/** Changes the key of an account (RFC 8555 section 7.3.5). */
export async function keyChange(world: World, { url, payload, account: signer }: Call): Promise<Answer> {
  if (signer === undefined) throw new Refused(400, 'malformed', 'keyChange is signed by an account')
  const inner = takeApart(payload)
  if (inner.jwk === undefined || inner.url !== url || inner.nonce !== undefined) {
    throw new Refused(400, 'malformed', 'The inner JWS has a jwk, the same url and no nonce')
  }
  const change = await verify(inner, inner.jwk)
  const oldKey = change?.['oldKey'] as JWK | undefined
  if (change?.['account'] !== urlOf(world, signer) || oldKey === undefined) {
    throw new Refused(400, 'malformed', 'The inner JWS is about another account')
  }
  if ((await thumbprintOf(oldKey)) !== signer.thumbprint) throw new Refused(400, 'malformed', 'Not the old key')
  const thumbprint = await thumbprintOf(inner.jwk)
  const other = world.store.accounts.find((each) => each.thumbprint === thumbprint)
  if (other !== undefined && world.behaviour.liesAboutKeyChange) return show(world, signer, 200)
  if (other !== undefined) {
    throw new Refused(409, 'malformed', 'The key has another account', {}, { location: urlOf(world, other) })
  }
  signer.key = inner.jwk
  signer.thumbprint = thumbprint
  return show(world, signer, 200)
}

/** The URL of an account, which requests are signed with. */
export function urlOf(world: World, { id }: Account): string {
  return `${world.origin()}/account/${id}`
}

function show(world: World, { id, status, contact, key }: Account, code: number): Answer {
  const location = `${world.origin()}/account/${id}`
  return { status: code, headers: { location }, body: { status, contact, key, orders: `${location}/orders` } }
}

function readContact(value: unknown): string[] {
  const contact = Array.isArray(value) ? value.map(String) : []
  for (const each of contact) {
    if (!each.startsWith('mailto:')) throw new Refused(400, 'unsupportedContact', `"${each}" is no mailto address`)
    if (!/^mailto:[^\s,?@]+@[^\s,?@]+\.[a-z]+$/i.test(each))
      throw new Refused(400, 'invalidContact', `"${each}" is wrong`)
  }
  return contact
}
