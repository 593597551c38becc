import { AcmeError } from '../acme/error.ts'
import type { AcmeOrder } from '../acme/index.ts'
import { sameNames } from '../certificate-names.ts'
import { orAborted } from '../or-aborted.ts'
import type { Attempt, Session } from './attempt.ts'
import { giveUpAuthorizations } from './give-up.ts'
import type { OpenOrder } from './records.ts'

/** One that came to no end for so long, whatever it is that the authority does with it, is made anew. */
const LONGEST_OPEN_MS = 86_400_000

/** What an order is made for. */
export interface OrderWish {
  readonly purpose: OpenOrder['purpose']
  readonly names: readonly string[]
  /** In order of preference. */
  readonly profiles: readonly string[]
  /** The ARI certificate id that it replaces, where that may be said. */
  readonly replaces: string | undefined
  /** Makes the key and the request for the certificate. */
  readonly createRequest: (names: readonly string[]) => Promise<{ readonly csr: string; readonly key: string }>
  /** Throws when an order would go beyond the budget; `isAsked` tells that it says what it replaces. */
  readonly assertAllowed: (isAsked: boolean) => Promise<void>
}

/** An order with what is noted of it. */
export interface Opened {
  readonly order: AcmeOrder
  readonly note: OpenOrder
}

/** Returns the order that is noted as open, if it can still become a certificate; forgets it otherwise. */
export async function resumeOrder(
  { records, report, clock, signal, leftover }: Attempt,
  { client, directory }: Session,
  { purpose, names }: Pick<OrderWish, 'purpose' | 'names'>,
): Promise<Opened | undefined> {
  const notes = await records.readOrders()
  const note = notes.find((each) => each.directory === directory.url && each.purpose === purpose)
  if (note === undefined) return undefined
  // Its records may still stand though its names are proved by now.
  leftover()
  const isDone = (await records.readCertificate())?.key === note.key
  const order = sameNames(note.names, names) && !isDone ? await find(note.url) : undefined
  const now = clock.now() + (directory.clockOffsetMs ?? 0)
  const isFresh = note.createdAt > clock.now() - LONGEST_OPEN_MS
  if (order !== undefined && isFresh && isUsable(order, now)) {
    report('order-resumed', `The order of ${new Date(note.createdAt).toISOString()} was resumed.`)
    return { order, note }
  }
  await records.forgetOrder(note)
  if (!isDone) await giveUpAuthorizations({ records, clock, signal }, client, note)
  return undefined

  async function find(url: string): Promise<AcmeOrder | undefined> {
    try {
      return await orAborted(signal, client.readOrder(url, signal))
    } catch (error) {
      // An authority that answers, and does not know it, will not do so later either.
      const { answered = 500, problem } = error instanceof AcmeError ? error : {}
      if (answered >= 500 || problem?.type === 'rateLimited' || problem?.type === 'accountDoesNotExist') throw error
      return undefined
    }
  }
}

/** Makes an order and notes it with the key of its certificate. */
export async function createOrder(attempt: Attempt, session: Session, wish: OrderWish): Promise<Opened> {
  const { records, report, clock, signal } = attempt
  const { client, directory } = session
  const { csr, key } = await orAborted(signal, wish.createRequest(wish.names))
  const offered = wish.profiles.filter((profile) => Object.hasOwn(directory.profiles, profile))
  const order = await request(offered, directory.hasRenewalInfo ? wish.replaces : undefined)
  const note = {
    url: order.url,
    directory: directory.url,
    purpose: wish.purpose,
    names: wish.names,
    profile: order.profile ?? null,
    csr,
    key,
    values: [],
    createdAt: clock.now(),
  }
  await records.writeOrder(note)
  const underProfile = order.profile === undefined ? '' : ` with the profile ${order.profile}`
  report('order-created', `An order for ${wish.names.join(', ')}${underProfile} was made.`)
  return { order, note }

  async function request([profile, ...others]: string[], replaces: string | undefined): Promise<AcmeOrder> {
    await wish.assertAllowed(replaces !== undefined)
    await records.changeLimits((limits) => ({
      ...limits,
      spent: [...limits.spent, { kind: 'order', directory: directory.url, names: wish.names, at: clock.now() }],
    }))
    try {
      const made = await orAborted(signal, client.createOrder({ names: wish.names, profile, replaces }, signal))
      return made.profile === undefined && profile !== undefined ? { ...made, profile } : made
    } catch (error) {
      if (!(error instanceof AcmeError)) throw error
      if (profile !== undefined && error.problem?.type === 'invalidProfile') {
        report('warning', `The profile ${profile} was refused; the next one is tried.`, { directory: directory.url })
        return request(others, replaces)
      }
      if (replaces === undefined || !mayBeAboutReplaces(error)) throw error
      const message = 'The order was refused with what it replaces, and is made without.'
      report('warning', message, { directory: directory.url, code: error.code, problem: error.problem?.type ?? null })
      return request(profile === undefined ? others : [profile, ...others], undefined)
    }
  }
}

/** Tells whether an order can still become a certificate. */
function isUsable({ status, certificate, expires }: AcmeOrder, now: number): boolean {
  if (status === 'valid') return certificate !== undefined
  return status !== 'invalid' && (expires === undefined || expires > now)
}

/**
 * Authorities refuse `replaces` in many ways: alreadyReplaced, unauthorized, malformed, a plain 500 (acmebot#1183,
 * lego#2789, Pebble). One more request is cheap, so whatever is surely about something else is left out instead.
 */
function mayBeAboutReplaces({ problem, answered, message }: AcmeError): boolean {
  if (answered === undefined) return false
  if (/replace/i.test(`${problem?.type} ${problem?.detail ?? message}`)) return true
  const others = ['rateLimited', 'accountDoesNotExist', 'externalAccountRequired', 'userActionRequired', 'badNonce']
  return !others.includes(problem?.type ?? '')
}
