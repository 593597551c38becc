import { AcmeError } from './error.ts'

/**
 * Throws `AcmeError` unless a URL may be asked: HTTPS on any host, and on the loopback interface HTTP where the directory
 * itself is there without TLS. An authority must not lead from HTTPS to less.
 */
export function assertAllowed(url: string, directory: string): void {
  const target = URL.parse(url)
  if (target === null) throw refuse(directory, `names an address that is no URL: "${url.slice(0, 200)}"`)
  if (target.username !== '' || target.password !== '') throw refuse(directory, 'names an address with a password')
  if (target.protocol === 'https:') return
  if (isPlainLoopback(target) && isPlainLoopback(URL.parse(directory))) return
  throw refuse(directory, `names "${target.protocol}//${target.host}", which is not https`)
}

function isPlainLoopback(url: URL | null): boolean {
  return url !== null && url.protocol === 'http:' && /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(url.hostname)
}

function refuse(directory: string, fault: string): AcmeError {
  return new AcmeError(
    directory,
    `The ACME directory ${directory} ${fault}. Use SOAKP_ACME_DIRECTORY with another one.`,
  )
}
