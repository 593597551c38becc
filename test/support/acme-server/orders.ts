import { readRequest } from './certificate-request.ts'
import { newId, timeText } from './context.ts'
import type { Call, World } from './context.ts'
import type { Answer } from './faults.ts'
import { authorizationFor, statusOfAuthorization } from './authorizations.ts'
import { Refused, problemDocument } from './problem.ts'
import type { Account, Order } from './store.ts'

const ORDER_LIFE_MS = 7 * 86_400_000

/** Makes an order, or finds one that is open (RFC 8555 section 7.4). */
export async function newOrder(world: World, { payload = {}, account }: Call): Promise<Answer> {
  const owner = mustBe(account)
  const names = readNames(payload['identifiers'])
  const profile = readProfile(world, payload['profile'])
  const replaces = typeof payload['replaces'] === 'string' ? payload['replaces'] : undefined
  const open = world.store.orders.find(
    (each) =>
      each.account === owner.id &&
      each.profile === profile &&
      each.names.join() === names.join() &&
      ['pending', 'ready'].includes(statusOf(world, each)),
  )
  if (world.behaviour.reusesOrders && open !== undefined) return show(world, open, 201)
  if (replaces !== undefined) assertReplaceable(world, owner, replaces, names)
  const made: Order = {
    id: newId(),
    account: owner.id,
    names,
    profile,
    replaces,
    authorizations: names.map((name) => authorizationFor(world, owner, name)),
    expires: world.now() + ORDER_LIFE_MS,
    certificate: undefined,
    error: undefined,
    readsLeft: 0,
  }
  world.store.orders.push(made)
  return show(world, made, 201)
}

/** Shows an order. */
export async function order(world: World, { path, account }: Call): Promise<Answer> {
  const found = findOrder(world, path[0], account)
  const answer = show(world, found, 200)
  if (found.readsLeft > 0) found.readsLeft -= 1
  return answer
}

/** Issues the certificate of an order (RFC 8555 section 7.4). */
export async function finalize(world: World, { path, payload = {}, account }: Call): Promise<Answer> {
  const owner = mustBe(account)
  const found = findOrder(world, path[0], account)
  const status = statusOf(world, found)
  if (status !== 'ready') throw new Refused(403, 'orderNotReady', `The order is ${status}`)
  const request = await readRequest(payload['csr'], found.names, owner)
  const { behaviour, profiles, authority, store } = world
  const notBefore = atSecond(world.now() - behaviour.backdateMs)
  const life = (found.profile === undefined ? undefined : profiles[found.profile]) ?? behaviour.validityMs
  const notAfter = notBefore + life
  const leaf = await authority.issue({ names: found.names, publicKey: request.publicKey, notBefore, notAfter })
  found.certificate = {
    ...leaf,
    id: newId(),
    account: owner.id,
    names: found.names,
    profile: found.profile,
    replaces: found.replaces,
    notBefore,
    notAfter,
    publicKey: request.jwk,
    revoked: undefined,
    isReplaced: false,
    forcedWindow: undefined,
  }
  found.readsLeft = behaviour.orderReads
  store.certificates.push(found.certificate)
  const replaced = store.certificates.find(({ renewalId }) => renewalId === found.replaces)
  if (replaced !== undefined) replaced.isReplaced = true
  return show(world, found, 200)
}

/** What an order is now: it follows from its authorizations, the time and what was issued. */
export function statusOf(world: World, { certificate, expires, readsLeft, authorizations, error }: Order): string {
  if (certificate !== undefined) return readsLeft > 0 ? 'processing' : 'valid'
  if (error !== undefined || expires <= world.now()) return 'invalid'
  const statuses = authorizations.map((authorization) => statusOfAuthorization(world, authorization))
  if (statuses.some((status) => !['pending', 'valid'].includes(status))) return 'invalid'
  return statuses.every((status) => status === 'valid') ? 'ready' : 'pending'
}

function show(world: World, shown: Order, code: number): Answer {
  const { id, names, authorizations, expires, profile, replaces, certificate, error } = shown
  const status = statusOf(world, shown)
  const location = `${world.origin()}/order/${id}`
  const { retryAfterSeconds } = world.behaviour
  const isWaiting = status === 'processing' && retryAfterSeconds !== undefined
  return {
    status: code,
    headers: { location, ...(isWaiting && { 'retry-after': String(retryAfterSeconds) }) },
    body: {
      status,
      expires: timeText(expires),
      identifiers: names.map((value) => ({ type: 'dns', value })),
      authorizations: authorizations.map((each) => `${world.origin()}/authorization/${each.id}`),
      finalize: `${world.origin()}/finalize/${id}`,
      ...(profile !== undefined && { profile }),
      ...(replaces !== undefined && { replaces }),
      ...(status === 'valid' && { certificate: `${world.origin()}/certificate/${certificate?.id ?? ''}` }),
      ...(error !== undefined && { error: problemDocument({ ...error }) }),
    },
  }
}

function findOrder(world: World, id: string | undefined, account: Account | undefined): Order {
  const found = world.store.orders.find((each) => each.id === id)
  if (found === undefined) throw new Refused(404, 'malformed', 'No such order')
  if (found.account !== account?.id) throw new Refused(403, 'unauthorized', 'The order is another account’s')
  return found
}

function readNames(identifiers: unknown): string[] {
  const list = Array.isArray(identifiers) ? (identifiers as readonly { type?: unknown; value?: unknown }[]) : []
  if (list.length === 0 || list.length > 100) throw new Refused(400, 'malformed', 'An order has 1 to 100 names')
  const bad = list.filter(({ type, value }) => type !== 'dns' || !isName(value))
  if (bad.length > 0) {
    const subproblems = bad.map(({ type, value }) =>
      problemDocument({
        type: type === 'dns' ? 'rejectedIdentifier' : 'unsupportedIdentifier',
        detail: `"${String(value)}" is not certified`,
        identifier: { type: String(type), value: String(value) },
      }),
    )
    throw new Refused(400, 'rejectedIdentifier', 'Some names are not certified', { subproblems })
  }
  return [...new Set(list.map(({ value }) => String(value)))].toSorted()
}

function isName(value: unknown): boolean {
  return (
    typeof value === 'string' && /^(?:\*\.)?(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]+$/.test(value)
  )
}

function readProfile({ profiles }: World, profile: unknown): string | undefined {
  if (profile === undefined) return undefined
  if (typeof profile === 'string' && Object.hasOwn(profiles, profile)) return profile
  throw new Refused(400, 'invalidProfile', `There is no profile ${JSON.stringify(profile)}`)
}

/** RFC 9773 section 5. */
function assertReplaceable({ store, hasRenewalInfo }: World, owner: Account, replaces: string, names: string[]): void {
  if (!hasRenewalInfo) throw new Refused(400, 'malformed', 'There is no renewal information here')
  const found = store.certificates.find(({ renewalId }) => renewalId === replaces)
  if (found === undefined) throw new Refused(404, 'malformed', 'The replaced certificate is unknown')
  if (found.account !== owner.id)
    throw new Refused(403, 'unauthorized', 'The replaced certificate is another account’s')
  if (!names.some((name) => found.names.includes(name))) throw new Refused(400, 'malformed', 'No name is shared')
  if (found.isReplaced) throw new Refused(409, 'alreadyReplaced', 'The certificate is replaced already')
}

function mustBe(account: Account | undefined): Account {
  if (account !== undefined) return account
  throw new Refused(400, 'malformed', 'The request is signed by an account')
}

/** Certificates know no milliseconds. */
function atSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}
