import { calculateJwkThumbprint } from 'jose'
import { timeText } from './context.ts'
import type { Call, World } from './context.ts'
import type { Answer } from './faults.ts'
import { Refused } from './problem.ts'

const HOUR_MS = 3_600_000
const REASONS = [0, 1, 3, 4, 5, 6, 8, 9, 10]

/** Gives a certificate out with links to its other chains (RFC 8555 section 7.4.2). */
export async function certificate(world: World, { path, account }: Call): Promise<Answer> {
  const [id, number = '0'] = path
  const found = world.store.certificates.find((each) => each.id === id)
  const chain = found?.chains[Number(number)]
  if (found === undefined || chain === undefined) throw new Refused(404, 'malformed', 'No such certificate')
  if (found.account !== account?.id) throw new Refused(403, 'unauthorized', 'The certificate is another account’s')
  const links = found.chains.flatMap((_, other) =>
    String(other) === number ? [] : [`<${world.origin()}/certificate/${found.id}/${other}>;rel="alternate"`],
  )
  const index = `<${world.origin()}/directory>;rel="index"`
  return {
    status: 200,
    headers: { 'content-type': 'application/pem-certificate-chain', link: [index, ...links] },
    body: chain,
  }
}

/** Revokes a certificate, asked by its account or by its own key (RFC 8555 section 7.6). */
export async function revokeCert(world: World, { payload = {}, account, jwk }: Call): Promise<Answer> {
  const der = Buffer.from(String(payload['certificate']), 'base64url').toString('base64')
  const found = world.store.certificates.find(({ leaf }) => leaf.replaceAll(/-----[A-Z ]+-----|\s/g, '') === der)
  if (found === undefined) throw new Refused(404, 'malformed', 'No such certificate')
  const isOwner =
    jwk === undefined
      ? found.account === account?.id
      : (await calculateJwkThumbprint(jwk)) === (await calculateJwkThumbprint(found.publicKey))
  if (!isOwner) throw new Refused(403, 'unauthorized', 'The certificate is another’s')
  const { reason = 0 } = payload
  if (!REASONS.some((known) => known === reason))
    throw new Refused(400, 'badRevocationReason', `Reason ${String(reason)}`)
  if (found.revoked !== undefined) throw new Refused(400, 'alreadyRevoked', 'The certificate is revoked already')
  found.revoked = { reason: Number(reason), at: world.now() }
  return { status: 200 }
}

/** Says when a certificate should be renewed (RFC 9773 section 4.2). */
export async function renewalInfo(world: World, { path }: Call): Promise<Answer> {
  const [id = ''] = path
  if (!/^[\w-]+\.[\w-]+$/.test(id)) throw new Refused(400, 'malformed', 'No certificate id')
  const found = world.store.certificates.find(({ renewalId }) => renewalId === id)
  if (found === undefined) throw new Refused(404, 'malformed', 'No such certificate')
  const headers = { 'content-type': 'application/json', 'retry-after': '21600' }
  if (found.forcedWindow !== undefined) return { status: 200, headers, body: found.forcedWindow }
  const life = found.notAfter - found.notBefore
  const isRevoked = found.revoked !== undefined
  const start = isRevoked ? world.now() - 2 * HOUR_MS : found.notBefore + (life * 2) / 3
  const end = isRevoked ? world.now() - HOUR_MS : start + life / 30
  return { status: 200, headers, body: { suggestedWindow: { start: timeText(start), end: timeText(end) } } }
}
