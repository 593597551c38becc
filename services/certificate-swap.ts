import { X509Certificate, randomBytes } from 'node:crypto'
import type { SecureContextOptions, Server } from 'node:tls'
import { parsePair, timeFault } from './certificate-pair.ts'
import type { CertificatePair } from './certificate-pair.ts'
import { SoakpError } from './errors.ts'
import { ownHandshake } from './own-handshake.ts'
import { createQueue } from './queue.ts'

/** A certificate and its key in PEM. */
export type Material = Pick<CertificatePair, 'cert' | 'key'>

/** Changes the certificate of a server. Connections that exist go on as they are; new ones get the new certificate. */
export interface CertificateSwap {
  /** What new connections get; undefined before the first. */
  readonly current: CertificatePair | undefined
  /** Takes the first pair, be it out of time: better than none. Throws `SOAKP_CERTIFICATE_REFUSED`. */
  begin(material: Material): void
  /**
   * Takes a pair into use once it is checked. While the server listens a handshake with it proves the change; when that
   * fails the pair before is served again. Calls queue. Throws `SOAKP_CERTIFICATE_REFUSED`, `SOAKP_CERTIFICATE_HANDSHAKE`.
   */
  use(material: Material): Promise<void>
}

/** What RFC 9113 section 9.2.2 wants of TLS 1.2: an ephemeral key and authenticated encryption; and those of TLS 1.3. */
const CIPHERS = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** Everything of TLS that is not the certificate. `setSecureContext` forgets what it is not told each time. */
const SECURE: SecureContextOptions = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  honorCipherOrder: true,
  ciphers: CIPHERS,
}

/** Creates the one way to change the certificate of a server; `now` returns Unix milliseconds. */
export function createCertificateSwap(server: Server, now: () => number): CertificateSwap {
  let current: CertificatePair | undefined
  const inTurn = createQueue()

  /** With other ticket keys, a ticket of a session under the old certificate opens no more. */
  function put(pair: CertificatePair): void {
    server.setSecureContext({ ...SECURE, cert: pair.cert, key: pair.key, ticketKeys: randomBytes(48) })
    current = pair
  }

  async function swap(material: Material): Promise<void> {
    const pair = parsePair(material, refuse)
    const fault = timeFault(pair, now())
    if (fault !== undefined) throw refused(`The certificate ${fault}`)
    const previous = current
    if (previous?.cert === pair.cert && previous.key === pair.key) return
    put(pair)
    try {
      await proveServed(server, pair)
    } catch (cause) {
      if (previous !== undefined) put(previous)
      const message = 'A handshake with the new certificate failed, so the one before is served again.'
      throw new SoakpError(500, 'SOAKP_CERTIFICATE_HANDSHAKE', message, { cause })
    }
  }

  return {
    get current() {
      return current
    },

    begin: (material) => put(parsePair(material, refuse)),

    use: (material) => inTurn(() => swap(material)),
  }
}

async function proveServed(server: Server, { cert }: CertificatePair): Promise<void> {
  const leaf = new X509Certificate(cert)
  const [, name] = /DNS:([^,\s]+)/.exec(leaf.subjectAltName ?? '') ?? []
  const served = await ownHandshake(server, name?.replace('*', 'soakp') ?? 'localhost')
  if (served !== undefined && served !== leaf.fingerprint256)
    throw new Error(`another certificate was served: ${served}`)
}

function refuse(fault: 'unreadable' | 'mismatch', cause?: unknown): SoakpError {
  if (fault === 'mismatch') return refused('The private key does not belong to the certificate.')
  return refused('What should be a certificate and its private key in PEM cannot be read.', cause)
}

function refused(message: string, cause?: unknown): SoakpError {
  return new SoakpError(500, 'SOAKP_CERTIFICATE_REFUSED', message, { cause })
}
