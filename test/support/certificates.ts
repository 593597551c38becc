// tsyringe inside @peculiar/x509 does not load without it (PeculiarVentures/x509#116).
import 'reflect-metadata' // oxlint-disable-line import/no-unassigned-import
import { once } from 'node:events'
import { webcrypto, KeyObject } from 'node:crypto'
import type { AddressInfo, Server as NetServer } from 'node:net'
import { connect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import * as x509 from '@peculiar/x509'
import type { CertificatePair } from '../../services/certificate-pair.ts'

/** What a client saw in a handshake. */
export interface Seen {
  /** The common name of the certificate that was served. */
  readonly name: string
  readonly protocol: string | null
  readonly cipher: string
  readonly alpn: string | false | null
  readonly isResumed: boolean
  readonly session: Buffer | undefined
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000

const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
const authority = await x509.X509CertificateGenerator.createSelfSigned(
  {
    serialNumber: '01',
    name: 'CN=authority of the tests',
    notBefore: new Date(Date.now() - 1000 * DAY_MS),
    notAfter: new Date(Date.now() + 1000 * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  },
  webcrypto,
)

/** The certificate of the authority that signs what `issue` returns, PEM. */
export const ca = authority.toString('pem')

let serial = 1_000

/** Issues a certificate for localhost with a common name of its own, for 90 days from so many days ago. */
export async function issue(name: string, daysAgo = 0): Promise<CertificatePair> {
  const leaf = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  serial += 1
  const notBefore = new Date(Math.floor((Date.now() - daysAgo * DAY_MS) / 1000 - 60) * 1000)
  const notAfter = new Date(notBefore.getTime() + 90 * DAY_MS)
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial.toString(16),
      subject: `CN=${name}`,
      issuer: authority.subjectName,
      notBefore,
      notAfter,
      publicKey: leaf.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.SubjectAlternativeNameExtension([
          { type: 'dns', value: 'localhost' },
          { type: 'ip', value: '127.0.0.1' },
        ]),
      ],
    },
    webcrypto,
  )
  const key = KeyObject.from(leaf.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString()
  return { cert: certificate.toString('pem'), key, notBefore, notAfter }
}

/** Makes a handshake with a server and returns what it saw. Rejects when the handshake fails. */
export async function see(
  server: NetServer,
  { wantsSession = false, ...options }: ConnectionOptions & { readonly wantsSession?: boolean } = {},
): Promise<Seen> {
  const { port, address } = server.address() as AddressInfo
  const host = address === '::' ? '::1' : address === '0.0.0.0' ? '127.0.0.1' : address
  const target = options.socket === undefined ? { host, port } : {}
  const socket = connect({ servername: 'localhost', ca, ...target, ...options })
  // A ticket comes after the handshake with TLS 1.3, and may come before the client hears of its end with TLS 1.2.
  const session = wantsSession ? once(socket, 'session') : undefined
  session?.catch(() => undefined)
  try {
    await once(socket, 'secureConnect')
    const [ticket] = ((await session) ?? []) as [Buffer | undefined]
    return {
      name: String(socket.getPeerCertificate().subject?.CN ?? ''),
      protocol: socket.getProtocol(),
      cipher: socket.getCipher().name,
      alpn: socket.alpnProtocol,
      isResumed: socket.isSessionReused(),
      session: ticket,
    }
  } finally {
    socket.on('error', () => undefined).destroy()
  }
}
