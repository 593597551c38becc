import type { Configuration } from '../configuration.ts'
import { createDispatcher } from '../dispatcher.ts'
import { SoakpError } from '../errors.ts'
import { upstreamError } from '../upstream-errors.ts'
import type { Key } from '../vault.ts'
import { fault, ok } from './finding.ts'
import type { Result } from './finding.ts'
import type { Patient } from './patient.ts'

/** What an upstream answered to a call without a key, or why it did not. */
export interface UpstreamAnswer {
  readonly baseUrl: string
  readonly error: SoakpError | undefined
  /** The code of what is behind the error, such as `ENOTFOUND`. */
  readonly code: string | undefined
  /** How far its clock is before ours, in seconds; undefined when it told no time. */
  readonly aheadSeconds: number | undefined
}

/** More would only take longer. */
const MOST_UPSTREAMS = 20

const REMEDIES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'Look whether the name is spelt right and whether this machine can resolve names (DNS).',
  EAI_AGAIN: 'The name server does not answer: look at the DNS of this machine.',
  ECONNREFUSED: 'Nothing listens there: look whether it runs, and whether host and port are right.',
}

/** Asks the upstreams of the saved keys, or else the default one, the way the proxy does; no key is sent. */
export async function askUpstreams(
  configuration: Configuration,
  keys: readonly Key[],
  { now, networkMs }: Patient,
): Promise<UpstreamAnswer[]> {
  const urls = new Set(keys.length === 0 ? [configuration.upstream] : keys.map(({ base_url }) => base_url))
  const dispatcher = createDispatcher({
    ...configuration,
    certificates: configuration.upstreamCertificates,
    upstreamConnectMs: networkMs,
    upstreamAnswerMs: networkMs,
  })

  async function ask(baseUrl: string): Promise<UpstreamAnswer> {
    const { origin, pathname } = new URL(baseUrl)
    const signal = AbortSignal.timeout(networkMs)
    try {
      const { headers, body } = await dispatcher.request({ origin, path: `${pathname}/models`, method: 'GET', signal })
      body.on('error', () => undefined).destroy()
      const time = Date.parse(String(headers['date']))
      const aheadSeconds = Number.isNaN(time) ? undefined : Math.round((time - now()) / 1_000)
      return { baseUrl, error: undefined, code: undefined, aheadSeconds }
    } catch (cause) {
      return { baseUrl, error: errorOf(cause, signal), code: codeOf(cause), aheadSeconds: undefined }
    }
  }

  try {
    return await Promise.all([...urls].slice(0, MOST_UPSTREAMS).map(ask))
  } finally {
    await dispatcher.destroy()
  }
}

/** Checks that each upstream can be reached: by name, address and an answer. */
export function checkUpstreams(answers: readonly UpstreamAnswer[]): Result {
  const failed = answers.find(({ error }) => error !== undefined && !isAboutCertificate(error))
  if (failed?.error === undefined) return ok(`${answers.map(({ baseUrl }) => baseUrl).join(', ')} can be reached.`)
  const { baseUrl, error, code } = failed
  if (error.code === 'SOAKP_UPSTREAM_ADDRESS') {
    const remedy = `If that is meant, name ${new URL(baseUrl).origin} in SOAKP_ALLOW_PRIVATE_UPSTREAMS.`
    return fault(`The upstream ${baseUrl} has a private address.`, remedy)
  }
  const why = code === undefined ? '' : ` (${code})`
  const remedy = REMEDIES[code ?? ''] ?? 'Look at the network of this machine: route, firewall, a proxy in between.'
  if (error.code === 'SOAKP_UPSTREAM_TIMEOUT') return fault(`The upstream ${baseUrl} does not answer${why}.`, remedy)
  return fault(`The upstream ${baseUrl} cannot be reached${why}.`, remedy)
}

/** Checks that each upstream proves its identity. */
export function checkUpstreamCertificates(answers: readonly UpstreamAnswer[]): Result {
  const failed = answers.find(({ error }) => error !== undefined && isAboutCertificate(error))
  if (failed === undefined) {
    const isPlain = answers.every(({ baseUrl }) => baseUrl.startsWith('http:'))
    return ok(isPlain ? 'Plain HTTP has none.' : 'It is trusted.')
  }
  const { baseUrl, code = 'unknown' } = failed
  const message = `The certificate of ${baseUrl} is not trusted (${code}).`
  if (/EXPIRED|NOT_YET_VALID/.test(code)) return fault(message, 'Look whether the clock of this machine is right.')
  if (/ALTNAME/.test(code)) return fault(message, 'It is for another name: use the name that the certificate has.')
  const remedy =
    'If its authority is your own, name its certificate in SOAKP_UPSTREAM_CA_FILE; if not, something between here and there reads along.'
  return fault(message, remedy)
}

function isAboutCertificate({ code }: SoakpError): boolean {
  return code === 'SOAKP_UPSTREAM_CERTIFICATE'
}

function errorOf(cause: unknown, signal: AbortSignal): SoakpError {
  if (!signal.aborted) return upstreamError(cause)
  return new SoakpError(504, 'SOAKP_UPSTREAM_TIMEOUT', 'The upstream did not answer in time.', { cause })
}

function codeOf(error: unknown): string | undefined {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  if (!(error instanceof Error)) return undefined
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
