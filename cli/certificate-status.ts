import type { CertificateEvent, CertificateStatus } from '../services/certificates/index.ts'
import { describedLines, localTime } from './output.ts'

const DAY_SECONDS = 86_400

const SERVING: Readonly<Record<CertificateStatus['serving'], string>> = {
  acme: 'this certificate',
  local: "the local authority's certificate, which clients do not trust, until there is this one",
  none: 'nothing, as SOAKP is not running',
}

/** Returns the state of the certificate as lines, with the last of its events, newest at the end. */
export function statusLines(status: CertificateStatus, events: number, nowMs: number): string[] {
  const { certificate, holds, last_error: error, names, next_renewal: renewal, running, serving, timeline } = status
  const shown = events === 0 ? [] : timeline.slice(0, events).toReversed()
  const left = timeline.length - shown.length
  return [
    ...describedLines([
      ['Names', names.join(', ')],
      ['State', stateText(status, Math.floor(nowMs / 1_000))],
      ['Served', SERVING[serving]],
      ['Issuer', certificate?.issuer],
      ['Serial', certificate?.serial],
      ['SHA-256', certificate?.fingerprint],
      ['Authority', certificate?.directory],
      ['Profile', certificate?.profile ?? undefined],
      ['Renewal', renewal === null ? undefined : `${localTime(renewal.at)}: ${renewal.reason}`],
      [
        'Now',
        running === null ? undefined : `${running.phase}, since ${localTime(running.since)} (${running.attempt})`,
      ],
      ...holds.map(
        ({ directory, until, reason }) => ['Waiting', `${directory}, until ${localTime(until)}: ${reason}`] as const,
      ),
      [
        'Last error',
        error === null ? undefined : `${localTime(error.at)}: ${error.message} (${error.problem ?? error.code})`,
      ],
    ]),
    ...(shown.length === 0 ? [] : ['', 'What has happened:', ...shown.map(eventLine)]),
    ...(shown.length > 0 && left > 0 ? [`There are ${left} older ones: --events ${timeline.length}`] : []),
  ]
}

/** Returns an event as a line. */
export function eventLine({ at, attempt, duration_ms: ms, message, problem }: CertificateEvent): string {
  const details = [ms === null ? undefined : `${(ms / 1_000).toFixed(1)} s`, problem ?? undefined, attempt ?? undefined]
  const text = details.filter((each) => each !== undefined).join(', ')
  return `  ${localTime(at)}  ${message}${text === '' ? '' : ` (${text})`}`
}

function stateText({ certificate, state }: CertificateStatus, now: number): string {
  if (certificate === null) return 'there is none yet'
  const { not_after: end, revoked_at: revokedAt } = certificate
  if (state === 'revoked') return `revoked${revokedAt === null ? '' : ` at ${localTime(revokedAt)}`}`
  if (end <= now) return `expired at ${localTime(end)}`
  const days = Math.floor((end - now) / DAY_SECONDS)
  const left = days === 0 ? 'less than a day' : days === 1 ? '1 day' : `${days} days`
  if (state === 'missing') return `for other names than are set, until ${localTime(end)}`
  return `valid until ${localTime(end)}, ${left} from now${state === 'due' ? '; its renewal is due' : ''}`
}
