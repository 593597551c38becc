// tsyringe inside @peculiar/x509 does not load without it (PeculiarVentures/x509#116).
import 'reflect-metadata' // oxlint-disable-line import/no-unassigned-import
import { KeyObject, webcrypto } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { TlsOptions } from 'node:tls'
import * as x509 from '@peculiar/x509'
import { test } from 'tap'
import { bearer } from './support/refusals.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'
import { dial, switchingText } from './support/sockets.ts'
import { OK, RAW_KEY } from './support/passing.ts'
import { startRawUpstream } from './support/wire.ts'

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const WEAK = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 1_024,
  publicExponent: new Uint8Array([1, 0, 1]),
}
const DAY_MS = 86_400_000
const { digitalSignature, keyCertSign } = x509.KeyUsageFlags
const both: x509.KeyUsageFlags = digitalSignature | keyCertSign

/** A certificate and what signs with it. */
interface Issued {
  readonly name: string
  readonly pem: string
  readonly keys: webcrypto.CryptoKeyPair
}

interface Wish {
  readonly by?: Issued
  readonly isAuthority?: boolean
  readonly usage?: x509.KeyUsageFlags
  readonly address?: string
  readonly days?: number
  readonly algorithm?: typeof EC | typeof WEAK
}

let serial = 1

/** Issues a certificate; without an issuer it signs itself. */
async function issue(name: string, wish: Wish = {}): Promise<Issued> {
  const { by, isAuthority = false, usage = digitalSignature, address = '127.0.0.1', days = 9, algorithm = EC } = wish
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  serial += 1
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serial.toString(16).padStart(4, '0'),
      subject: `CN=${name}`,
      issuer: `CN=${by?.name ?? name}`,
      notBefore: new Date(Date.now() - 20 * DAY_MS),
      notAfter: new Date(Date.now() + days * DAY_MS),
      publicKey: keys.publicKey,
      signingKey: (by?.keys ?? keys).privateKey,
      signingAlgorithm: by === undefined ? algorithm : EC,
      extensions: [
        new x509.BasicConstraintsExtension(isAuthority, undefined, true),
        new x509.KeyUsagesExtension(usage, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: address }]),
      ],
    },
    webcrypto,
  )
  return { name, keys, pem: certificate.toString('pem') }
}

function served({ pem, keys }: Issued, ...chain: readonly Issued[]): TlsOptions {
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' })
  return { key, cert: [pem, ...chain.map((each) => each.pem)].join('\n') }
}

const authority = { isAuthority: true, usage: keyCertSign }
const root = await issue('root', authority)
const between = await issue('between', { ...authority, by: root })
const leaf = await issue('leaf', { by: between })
const unknownRoot = await issue('root', authority)
const old = 'DEFAULT@SECLEVEL=0'

/** What proves nothing about who the upstream is, by what is wrong with it. */
const faults: Readonly<Record<string, readonly TlsOptions[]>> = {
  'that is expired': [served(await issue('leaf', { by: root, days: -1 }))],
  'for a wrong name': [served(await issue('leaf', { by: root, address: '127.0.0.2' }))],
  'that is self-signed': [served(await issue('leaf'))],
  'of an unknown root': [served(await issue('leaf', { by: unknownRoot }))],
  'with an incomplete chain': [served(leaf)],
  'over TLS 1.0': [{ ...served(leaf, between), minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: old }],
  'that is a CA certificate': [
    served(await issue('authority', { ...authority, by: root })),
    served(await issue('authority', { isAuthority: true, usage: both, by: root })),
  ],
  'with a weak key': [{ ...served(await issue('leaf', { by: root, algorithm: WEAK })), ciphers: old }],
}

test('eight kinds of upstream certificate are refused, for calls and for WebSockets, with zero upstream requests', async (t) => {
  const file = join(await temporaryFolder(t), 'roots.pem')
  await writeFile(file, root.pem)
  const soakp = await startSoakp(t, { SOAKP_TLS: 'off', SOAKP_UPSTREAM_CA_FILE: file })

  async function ask(tls: TlsOptions) {
    const upstream = await startRawUpstream(t, tls)
    upstream.answer(({ wire, headers }) => {
      wire.write(headers.some((each) => each.toLowerCase() === 'upgrade') ? switchingText(headers) : OK)
    })
    const { token } = await soakp.saveKey({ base_url: upstream.url, key: RAW_KEY })
    const call = await soakp.call('GET', '/v1/models', { headers: bearer(token) })
    const socket = await dial(t, `ws://localhost:${soakp.port}/v1/realtime`, [], { headers: bearer(token) })
    const sent = upstream.wires.map((wire) => wire.text()).join('')
    return { call, socket, sent, requests: upstream.requests.length }
  }

  t.equal(Object.keys(faults).length, 8)
  for (const [fault, servers] of Object.entries(faults)) {
    await t.test(`a certificate ${fault}`, async (step) => {
      for (const tls of servers) {
        const { call, socket, sent, requests } = await ask(tls)
        step.match(call, { status: 502, body: { error: { code: 'SOAKP_UPSTREAM_CERTIFICATE' } } })
        step.match(socket, { status: 502, body: /SOAKP_UPSTREAM_CERTIFICATE/ })
        step.strictSame([requests, sent], [0, ''])
      }
    })
  }
  const good = await ask(served(leaf, between))
  t.match(
    good,
    { call: { status: 200 }, socket: { readyState: 1 }, requests: 2 },
    'the whole chain to a known root is taken',
  )
})
