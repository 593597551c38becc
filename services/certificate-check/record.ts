import type { ChallengeCheck } from '../challenge/check.ts'
import type { ChallengePlace } from '../challenge/index.ts'
import type { ProbeReport, ProbeStep } from '../challenge/probe.ts'
import { fault, faultOf, ok, warning } from '../doctor/finding.ts'
import type { Result } from '../doctor/finding.ts'

const REMEDIES: Readonly<Record<ProbeStep['step'], string>> = {
  write: 'Let the credentials write TXT records in this zone; `soakp dns providers` lists what the provider reads.',
  read: 'Look at the zone in the console of the provider.',
  serve: 'If the provider is only slow, give its servers longer: SOAKP_DNS_WAIT_SECONDS.',
  remove: 'Let the credentials delete TXT records too, and remove this one by hand.',
}

const WORDS: Readonly<Record<ProbeStep['step'], string>> = {
  write: 'be written',
  read: 'be read back',
  serve: 'be seen at all name servers',
  remove: 'be removed',
}

/** Checks that a record can be written, read, seen at the name servers and removed in a place's zone. */
export async function checkRecord(
  place: ChallengePlace,
  check: Pick<ChallengeCheck, 'probe'>,
  signal: AbortSignal,
): Promise<Result[]> {
  const report = await check.probe(place, signal)
  const failed = report.steps.filter(({ error }) => error !== undefined)
  // When nothing was written, that nothing could be removed is no news.
  const [first] = failed
  const told = first?.step === 'write' ? [first] : failed
  if (told.length === 0) return [ok(successText(place, report)), ...warningsOf(report)]
  return [...told.map((step) => failureOf(place, report.name, step)), ...warningsOf(report)]
}

function successText({ zone }: ChallengePlace, { served }: ProbeReport): string {
  const seconds = ((served?.waitedMs ?? 0) / 1_000).toFixed(1)
  const seen = served?.by === 'authoritative' ? `, and all name servers had it after ${seconds} s` : ''
  return `A record was written, read and removed in ${zone.name}${seen}.`
}

function failureOf({ zone }: ChallengePlace, name: string, { step, error }: ProbeStep): Result {
  const reason = error instanceof Error ? error.message : String(error)
  const { message, remedy } = faultOf({ message: reason }, REMEDIES[step])
  return fault(`A record (${name}) in ${zone.name} could not ${WORDS[step]}: ${message}`, remedy ?? REMEDIES[step])
}

function warningsOf({ served }: ProbeReport): Result[] {
  if (served === undefined || served.by === 'authoritative') return []
  return served.warnings.map((each) => warning(each, 'Open port 53 (UDP and TCP) on the way out if you can.'))
}
