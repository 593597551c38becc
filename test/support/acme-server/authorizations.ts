import { createHash, randomBytes } from 'node:crypto'
import { newId, timeText } from './context.ts'
import type { Call, World } from './context.ts'
import type { Answer } from './faults.ts'
import { Refused, problemDocument } from './problem.ts'
import type { Problem } from './problem.ts'
import type { Account, Authorization } from './store.ts'

const PENDING_LIFE_MS = 7 * 86_400_000

/** Returns the authorization for a name of an order: a new one, or one that is valid already. */
export function authorizationFor(world: World, { id: account }: Account, name: string): Authorization {
  const domain = name.replace(/^\*\./, '')
  const isWildcard = domain !== name
  const proved = world.store.authorizations.find(
    (each) =>
      each.account === account &&
      each.domain === domain &&
      each.isWildcard === isWildcard &&
      statusOfAuthorization(world, each) === 'valid',
  )
  if (world.behaviour.reusesAuthorizations && proved !== undefined) return proved
  const made: Authorization = {
    id: newId(),
    account,
    domain,
    isWildcard,
    token: randomBytes(32).toString('base64url'),
    status: 'pending',
    challengeStatus: 'pending',
    error: undefined,
    expires: world.now() + PENDING_LIFE_MS,
    readsLeft: 0,
  }
  world.store.authorizations.push(made)
  return made
}

/** What an authorization is now, as its readers see it. */
export function statusOfAuthorization(world: World, { status, expires, readsLeft }: Authorization): string {
  if (['pending', 'valid'].includes(status) && expires <= world.now()) return 'expired'
  return readsLeft > 0 ? 'pending' : status
}

/** Shows an authorization or gives it up (RFC 8555 sections 7.5 and 7.5.2). */
export async function authorization(world: World, { path, payload, account }: Call): Promise<Answer> {
  const found = find(world, path[0], account)
  if (payload?.['status'] === 'deactivated') found.status = 'deactivated'
  const answer = show(world, found)
  if (found.readsLeft > 0) found.readsLeft -= 1
  return answer
}

/** Shows a challenge, or validates it (RFC 8555 section 7.5.1). */
export async function challenge(world: World, { path, payload, account }: Call): Promise<Answer> {
  const found = find(world, path[0], account)
  if (payload !== undefined && found.challengeStatus === 'pending' && found.status === 'pending') {
    found.challengeStatus = 'processing'
    void validate(world, found, account)
  }
  const up = `<${world.origin()}/authorization/${found.id}>;rel="up"`
  return { status: 200, headers: { link: up }, body: challengeOf(world, found) }
}

async function validate(world: World, found: Authorization, account: Account | undefined): Promise<void> {
  const error = await findFault(world, found, account?.thumbprint ?? '')
  found.readsLeft = world.behaviour.authorizationReads
  found.error = error
  found.challengeStatus = error === undefined ? 'valid' : 'invalid'
  if (found.status === 'pending') found.status = found.challengeStatus
}

async function findFault(
  { behaviour, lookup }: World,
  { domain, token }: Authorization,
  thumbprint: string,
): Promise<Problem | undefined> {
  const type = behaviour.refusedProofs[domain]
  if (type !== undefined) return { type, detail: `${type} for ${domain} by the test` }
  const expected = createHash('sha256').update(`${token}.${thumbprint}`).digest('base64url')
  const name = `_acme-challenge.${domain}`
  try {
    const values = await lookup(name)
    if (values.includes(expected)) return undefined
    if (values.length === 0) return { type: 'unauthorized', detail: `No TXT record found at ${name}` }
    return { type: 'unauthorized', detail: `Incorrect TXT record "${values[0] ?? ''}" found at ${name}` }
  } catch (error) {
    return { type: 'dns', detail: `DNS problem: ${String(error)} looking up TXT for ${name}` }
  }
}

function show(world: World, shown: Authorization): Answer {
  const { domain, isWildcard, expires } = shown
  const status = statusOfAuthorization(world, shown)
  const { retryAfterSeconds, isStrange } = world.behaviour
  const isWaiting = status === 'pending' && retryAfterSeconds !== undefined
  const other = { url: `${world.origin()}/nowhere`, token: shown.token, status: 'pending' }
  const others = (isStrange ? ['telepathy-01', 'dns-persist-01', 'http-01'] : ['http-01']).map((type) => ({
    type,
    ...other,
    ...(isStrange && { 'issuer-domain-names': ['ca.test'], mind: { open: true } }),
  }))
  return {
    status: 200,
    ...(isWaiting && { headers: { 'retry-after': String(retryAfterSeconds) } }),
    body: {
      status,
      expires: timeText(expires),
      identifier: { type: 'dns', value: domain },
      challenges: [...others, challengeOf(world, shown)],
      ...(isWildcard && { wildcard: true }),
    },
  }
}

function challengeOf(world: World, { id, token, challengeStatus, error, readsLeft, domain }: Authorization): object {
  return {
    type: 'dns-01',
    url: `${world.origin()}/challenge/${id}`,
    token,
    status: readsLeft > 0 ? 'processing' : challengeStatus,
    ...(error !== undefined &&
      readsLeft === 0 && {
        error: problemDocument({ ...error, status: 403, identifier: { type: 'dns', value: domain } }),
      }),
  }
}

function find(world: World, id: string | undefined, account: Account | undefined): Authorization {
  const found = world.store.authorizations.find((each) => each.id === id)
  if (found === undefined) throw new Refused(404, 'malformed', 'No such authorization')
  if (found.account !== account?.id) throw new Refused(403, 'unauthorized', 'The authorization is another account’s')
  return found
}
