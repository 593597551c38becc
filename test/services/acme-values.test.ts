// tsyringe inside @peculiar/x509 does not load without it (PeculiarVentures/x509#116).
import 'reflect-metadata' // oxlint-disable-line import/no-unassigned-import
import { createPrivateKey, createPublicKey, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { test } from 'tap'
import { certificateIdOf } from '../../services/acme/certificate-id.ts'
import { createCertificateRequest } from '../../services/acme/certificate-request.ts'
import { readAuthorization } from '../../services/acme/authorization.ts'
import { alternatesOf, readChain } from '../../services/acme/chain.ts'
import { directories } from '../../services/acme/directories.ts'
import { readTime } from '../../services/json.ts'
import { readOrder } from '../../services/acme/order.ts'
import { systemClock } from '../../services/clock.ts'
import { createLocalAuthority } from '../../services/local-authority.ts'

/** The certificate of RFC 9773 appendix A. */
const EXAMPLE = `-----BEGIN CERTIFICATE-----
MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt
cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS
BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu
7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf
qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B
yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb
+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK
-----END CERTIFICATE-----
`

test('the id of RFC 9773’s certificate is that of RFC 9773', async (t) => {
  t.equal(certificateIdOf(EXAMPLE), 'aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE')
  t.equal(certificateIdOf(`text before\r\n${EXAMPLE.replaceAll('\n', '\r\n')}`), certificateIdOf(EXAMPLE))
  const { certificatePem } = await createLocalAuthority(new Date())
  t.throws(() => certificateIdOf(certificatePem), { code: 'SOAKP_CERTIFICATE_ID' })
  t.throws(() => certificateIdOf('no certificate'), { code: 'SOAKP_PEM' })
})

test('a certificate request is signed by its own P-256 key and has all names as alternative names', async (t) => {
  const names = ['a.example.com', '*.a.example.com', 'xn--bcher-kva.example']
  const { csr, key } = await createCertificateRequest(names)
  t.match(key, /^-----BEGIN PRIVATE KEY-----/)
  const request = new x509.Pkcs10CertificateRequest(csr)
  t.ok(await request.verify(webcrypto))
  t.equal(request.subject, '')
  const extension = request.extensions.find((each) => each instanceof x509.SubjectAlternativeNameExtension)
  t.same(
    extension?.names.items.map(({ type, value }) => [type, value]),
    names.map((name) => ['dns', name]),
  )
  const publicKey = createPublicKey(createPrivateKey(key))
  t.match(publicKey.export({ format: 'jwk' }), { crv: 'P-256' })
  t.same(publicKey.export({ type: 'spki', format: 'der' }), Buffer.from(request.publicKey.rawData))
  t.not((await createCertificateRequest(names)).key, key)
})

test('a chain holds nothing but certificates', (t) => {
  t.equal(readChain(`issuer: x\r\n${EXAMPLE.replaceAll('\n', '\r\n')}${EXAMPLE}-----BEGIN X-----`), EXAMPLE + EXAMPLE)
  t.equal(readChain(''), undefined)
  t.equal(readChain(EXAMPLE.repeat(21)), undefined)
  t.equal(readChain(`${EXAMPLE}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`), undefined)
  t.end()
})

test('other chains are found among links of all kinds', (t) => {
  const find = (link: string) =>
    alternatesOf({ url: 'https://ca.test/cert/1', status: 200, text: '', headers: { link } })
  t.same(find('<https://ca.test/dir>;rel="index", </cert/1/1>;rel="alternate", <2>; title="a, b"; rel=alternate'), [
    'https://ca.test/cert/1/1',
    'https://ca.test/cert/2',
  ])
  t.same(find(''), [])
  t.equal(find('<x>;rel="alternate",'.repeat(100)).length, 5)
  t.end()
})

test('an authorization for what is no name, and a profile of more than a name, are not shown as they came', async (t) => {
  const answer = (body: object) => ({ url: 'https://ca.test/a', status: 200, headers: {}, text: JSON.stringify(body) })
  const read = (value: string) => {
    const shown = answer({ status: 'pending', identifier: { type: 'dns', value }, challenges: [] })
    return readAuthorization('https://ca.test/directory', '', shown, systemClock)
  }
  t.match(await read('*.A.soakp.test'), { domain: 'a.soakp.test', isWildcard: true })
  for (const value of ['a\u001b[2J.test', 'a b', 'a'.repeat(256)]) await t.rejects(read(value), /for no name/)
  const order = answer({ status: 'pending', finalize: 'https://ca.test/f', profile: `a\n\u001b${'b'.repeat(100)}` })
  t.equal(
    readOrder('https://ca.test/directory', 'https://ca.test/o', order, systemClock).profile,
    `a ${'b'.repeat(62)}`,
  )
})

test('times are those of RFC 3339 and no others', (t) => {
  t.equal(readTime('2026-11-24T12:00:00Z'), Date.UTC(2026, 10, 24, 12))
  t.equal(readTime('2026-11-24t12:00:00.123456789+02:00'), Date.UTC(2026, 10, 24, 10, 0, 0, 123))
  for (const other of ['2026-11-24', 'March 7', '2026-13-24T12:00:00Z', 7, '', '2026-11-24T12:00:00']) {
    t.equal(readTime(other), undefined, String(other))
  }
  t.end()
})

test('the known directories are https', (t) => {
  t.equal(directories.letsencrypt, 'https://acme-v02.api.letsencrypt.org/directory')
  t.ok(Object.values(directories).every((url) => url.startsWith('https://')))
  t.end()
})
