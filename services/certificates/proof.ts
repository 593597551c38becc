import type { AcmeAuthorization } from '../acme/index.ts'
import { AcmeError } from '../acme/error.ts'
import { createProblem } from '../acme/problem.ts'
import type { ChallengePlace } from '../challenge/index.ts'
import { orAborted } from '../or-aborted.ts'
import type { Attempt, Session } from './attempt.ts'
import type { Opened } from './order.ts'
import { poll } from './poll.ts'
import { ValidationError, nameOf } from './validation-error.ts'

/** A name that is to be proved: its value goes to its place. */
interface Proof {
  readonly authorization: AcmeAuthorization
  readonly challenge: NonNullable<AcmeAuthorization['challenge']>
  readonly place: ChallengePlace
}

const VALIDATION_LIMIT_MS = 5 * 60_000

/** Proves all names of an order that are not proved yet. Whatever it writes it removes, unless SOAKP stops. */
export async function proveNames(attempt: Attempt, session: Session, { order, note }: Opened): Promise<void> {
  const { records, signal, phase, challenger } = attempt
  const { client, directory } = session
  const domains = note.names.map((name) => name.replace(/^\*\./, ''))
  const pending = await phase('authorizations', async () => {
    // One for each name (RFC 8555 section 7.1.3): an authority must not keep us busy with thousands.
    const { length } = order.authorizations
    if (length > note.names.length)
      throw problemOf(directory.url, `asks for ${length} proofs of ${note.names.length} names`)
    const all: AcmeAuthorization[] = []
    for (const url of order.authorizations) all.push(await orAborted(signal, client.readAuthorization(url, signal)))
    // The authority must not decide which names are written to.
    const foreign = all.find(({ domain }) => !domains.includes(domain))
    if (foreign !== undefined)
      throw problemOf(directory.url, `asks for a proof of ${foreign.domain}, which was not ordered`)
    const failed = all.filter(({ status }) => status !== 'valid' && status !== 'pending')
    if (failed.length > 0) throw new ValidationError(directory.url, failed)
    return all.filter(({ status }) => status === 'pending')
  })
  if (pending.length === 0) return
  const proofs = await phase('zones', async () => {
    const found: Proof[] = []
    const places = new Map<string, ChallengePlace>()
    for (const authorization of pending) {
      const { domain } = authorization
      const challenge = assertChallenge(directory.url, authorization)
      const place = places.get(domain) ?? (await orAborted(signal, challenger.locate(domain, signal)))
      places.set(domain, place)
      found.push({ authorization, challenge, place })
    }
    return found
  })
  await records.writeOrder({ ...note, values: proofs.map(({ challenge }) => challenge.value) })
  for (const wave of wavesOf(proofs)) await proveTogether(attempt, session, wave)
}

/** Values that share a name go together, but where only one may stand there at a time, the next follows in another wave. */
function wavesOf(proofs: readonly Proof[]): Proof[][] {
  const waves: Proof[][] = []
  const used = new Map<string, number>()
  for (const proof of proofs) {
    const { name, valuesPerName } = proof.place
    const wave = valuesPerName === 'one' ? (used.get(name) ?? 0) : 0
    used.set(name, wave + 1)
    waves[wave] = [...(waves[wave] ?? []), proof]
  }
  return waves
}

async function proveTogether(attempt: Attempt, session: Session, proofs: readonly Proof[]): Promise<void> {
  const { signal, phase, challenger, report, clock } = attempt
  const { client, directory } = session
  try {
    await phase('write', async () => {
      for (const { place, challenge } of proofs) {
        const since = clock.now()
        await orAborted(signal, challenger.write(place, challenge.value, signal))
        report('record-written', `A TXT record was written at ${place.name} by ${place.provider}.`, {
          duration_ms: clock.now() - since,
        })
      }
    })
    await phase('wait', () => waitUntilAllServed(attempt, proofs))
    await phase('validation', async () => {
      const since = clock.now()
      for (const { challenge } of proofs) {
        // One that was answered before a crash is being looked at already.
        if (challenge.status === 'pending') await orAborted(signal, client.answerChallenge(challenge.url, signal))
      }
      const ended = await pollAll(attempt, session, proofs)
      const failed = ended.filter(({ status }) => status !== 'valid')
      if (failed.length > 0) throw new ValidationError(directory.url, failed)
      report('validated', `${proofs.map(({ authorization }) => nameOf(authorization)).join(', ')} was validated.`, {
        duration_ms: clock.now() - since,
      })
    })
  } finally {
    await removeAll(attempt, proofs)
  }
}

async function waitUntilAllServed(
  { signal, challenger, report, served }: Attempt,
  proofs: readonly Proof[],
): Promise<void> {
  const byName = Map.groupBy(proofs, ({ place }) => place.name)
  const waits = [...byName.values()].map(async (group) => {
    const place = group[0]?.place
    if (place === undefined) return
    const values = group.map(({ challenge }) => challenge.value)
    const reported = await orAborted(signal, challenger.waitUntilServed(place, values, signal))
    served(reported)
    const message = `The records at ${place.name} were served by ${reported.servers.length} addresses (${reported.by}).`
    report('records-served', message, { duration_ms: reported.waitedMs })
    for (const warning of reported.warnings) report('warning', warning)
  })
  const ended = await Promise.allSettled(waits)
  for (const each of ended) if (each.status === 'rejected') throw each.reason
}

/** Asks for all that are not decided, one by one: an authority that says "enough" is not asked once more. */
async function pollAll(
  { clock, signal }: Attempt,
  { client, directory }: Session,
  proofs: readonly Proof[],
): Promise<readonly AcmeAuthorization[]> {
  const seen = new Map(proofs.map(({ authorization }) => [authorization.url, authorization]))
  const pending = () => [...seen.values()].filter(({ status }) => status === 'pending')

  async function read() {
    for (const { url } of pending()) seen.set(url, await orAborted(signal, client.readAuthorization(url, signal)))
    const left = pending()
    const retryAfterMs = Math.max(0, ...left.map((each) => each.retryAfterMs ?? 0))
    return { left, retryAfterMs: retryAfterMs === 0 ? undefined : retryAfterMs }
  }

  const { left } = await poll({
    clock,
    signal,
    limitMs: VALIDATION_LIMIT_MS,
    read,
    isDone: (each) => each.left.length === 0,
  })
  if (left.length === 0) return [...seen.values()]
  const { host } = new URL(directory.url)
  const names = left.map(nameOf).join(', ')
  throw new AcmeError(
    directory.url,
    `${host} did not say within five minutes whether it accepts the proof for ${names}.`,
  )
}

/** A record that cannot be removed stays in the journal, and the next sweep tries again. */
async function removeAll(attempt: Attempt, proofs: readonly Proof[]): Promise<void> {
  const { signal, challenger, report, phase, leftover } = attempt
  if (signal.aborted) return
  await phase('remove', async () => {
    const ended: PromiseSettledResult<void>[] = []
    for (const { place, challenge } of proofs) {
      const removal = orAborted(signal, challenger.remove(place, challenge.value, signal))
      ended.push(...(await Promise.allSettled([removal])))
    }
    const failed = ended.filter(({ status }) => status === 'rejected').length
    if (failed === 0) return report('records-removed', `${ended.length} TXT records were removed.`)
    leftover()
    report('warning', `${failed} TXT records could not be removed yet; that is tried again.`)
  })
}

function assertChallenge(directory: string, authorization: AcmeAuthorization): Proof['challenge'] {
  if (authorization.challenge !== undefined) return authorization.challenge
  throw problemOf(directory, `offers no dns-01 challenge for ${nameOf(authorization)}`)
}

function problemOf(directory: string, what: string): AcmeError {
  const message = `${new URL(directory).host} ${what}: use another authority.`
  return new AcmeError(directory, message, { problem: createProblem('unusableAuthorization', message) })
}
