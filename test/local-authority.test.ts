import { spawnSync } from 'node:child_process'
import { X509Certificate, createPrivateKey, webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { test } from 'tap'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import type { LocalAuthority, LocalCertificate } from '../services/local-authority.ts'
import * as x509 from '@peculiar/x509'

const now = new Date()
const day = 86_400_000
const authority = await createLocalAuthority(now)
const hasIpv6 = Object.values(networkInterfaces()).some((entries) => entries?.some(({ address }) => address === '::1'))
const hasOpenssl = spawnSync('openssl', ['version']).status === 0

/** Returns 'trusted' or the message of the client's error, from a real handshake in which `name` is checked. */
async function handshake(certificate: Pick<LocalCertificate, 'certificatePem' | 'privateKeyPem'>, name: string) {
  const isAddress = /^[\d.]+$|:/.test(name)
  const listenOn = name === '::1' ? '::1' : '127.0.0.1'
  const server = createServer({ cert: certificate.certificatePem, key: certificate.privateKeyPem })
  server.on('tlsClientError', () => {}).listen(0, listenOn)
  await once(server, 'listening')
  const listening = server.address()
  if (listening === null || typeof listening === 'string') throw new Error('the server does not listen on a port')
  const servername = isAddress ? {} : { servername: name }
  const client = connect({ host: listenOn, port: listening.port, ca: authority.certificatePem, ...servername })
  try {
    await once(client, 'secureConnect')
    return 'trusted'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    client.destroy()
    server.close()
  }
}

/** Does what a thief of the authority's key would do: signs for any name, past our own check. */
async function forge(stolen: LocalAuthority, type: 'dns' | 'ip', value: string) {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${value}`,
    issuer: new x509.X509Certificate(stolen.certificatePem).subjectName,
    publicKey: keys.publicKey,
    signingKey: createPrivateKey(stolen.privateKeyPem).toCryptoKey(algorithm, false, ['sign']),
    extensions: [new x509.SubjectAlternativeNameExtension([{ type, value }])],
  })
  const privateKeyPem = x509.PemConverter.encode(
    await webcrypto.subtle.exportKey('pkcs8', keys.privateKey),
    x509.PemConverter.PrivateKeyTag,
  )
  return { certificatePem: certificate.toString('pem'), privateKeyPem }
}

/** Returns what `openssl verify` says in its strict mode. */
function verifyWithOpenssl(certificatePem: string) {
  const folder = mkdtempSync(join(tmpdir(), 'soakp-authority-'))
  try {
    writeFileSync(join(folder, 'authority.pem'), authority.certificatePem)
    writeFileSync(join(folder, 'leaf.pem'), certificatePem)
    const flags = ['-x509_strict', '-purpose', 'sslserver', '-check_ss_sig', '-CAfile', 'authority.pem', 'leaf.pem']
    const { stdout, stderr } = spawnSync('openssl', ['verify', ...flags], { cwd: folder, encoding: 'utf8' })
    return stdout + stderr
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const machine = hostname().toLowerCase()
// Node and browsers match a wildcard from its third label on: `*.localhost` can be issued but helps nobody.
const names = [
  'localhost',
  '*.app.localhost',
  machine,
  'box.home.arpa',
  'a.b.internal',
  '127.0.0.1',
  '192.168.7.9',
  '::1',
]
const leaf = await issueLocalCertificate(authority, names, now)

test('the authority may sign server certificates only, for ten years, and has a name of its own', async (t) => {
  const certificate = new X509Certificate(authority.certificatePem)
  t.equal(certificate.ca, true)
  t.ok(certificate.verify(certificate.publicKey))
  t.match(certificate.subject, `${hostname().slice(0, 31)} ${now.toISOString().slice(0, 10)}`)
  t.ok(certificate.subject.length <= 'CN='.length + 64)
  t.ok(Math.abs(certificate.validToDate.getTime() - now.getTime() - 3652 * day) < 1000)
  const parsed = new x509.X509Certificate(authority.certificatePem)
  const constraints = parsed.getExtension(x509.BasicConstraintsExtension)
  t.match(constraints, { ca: true, pathLength: 0, critical: true })
  const usage = parsed.getExtension(x509.KeyUsagesExtension)
  t.match(usage, { usages: x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, critical: true })
  t.equal(parsed.getExtension('2.5.29.30')?.critical, true)
  t.match(authority.privateKeyPem, /^-----BEGIN PRIVATE KEY-----/)
})

test('a certificate is a server leaf of 90 days that began an hour ago', async (t) => {
  const certificate = new X509Certificate(leaf.certificatePem)
  t.equal(certificate.ca, false)
  t.strictSame(certificate.validToDate, leaf.notAfter)
  t.ok(Math.abs(leaf.notAfter.getTime() - now.getTime() - 90 * day) < 1000)
  t.ok(Math.abs(now.getTime() - 3_600_000 - certificate.validFromDate.getTime()) < 1000)
  t.strictSame(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  t.match(certificate.serialNumber, /^[4-7][0-9A-F]{31}$/)
  t.not(certificate.serialNumber, new X509Certificate(authority.certificatePem).serialNumber)
  t.ok(certificate.checkPrivateKey(createPrivateKey(leaf.privateKeyPem)))
  t.equal(leaf.certificatePem.match(/BEGIN CERTIFICATE/g)?.length, 1)
  const parsed = new x509.X509Certificate(leaf.certificatePem)
  t.match(parsed.getExtension(x509.BasicConstraintsExtension), { ca: false, critical: true })
  const usage = parsed.getExtension(x509.KeyUsagesExtension)
  t.match(usage, { usages: x509.KeyUsageFlags.digitalSignature, critical: true })
})

test('a certificate does not outlive its authority', async (t) => {
  const late = new Date(now.getTime() + 3640 * day)
  const { notAfter } = await issueLocalCertificate(authority, ['localhost'], late)
  t.strictSame(notAfter, new X509Certificate(authority.certificatePem).validToDate)
})

for (const name of ['localhost', 'web.app.localhost', machine, 'box.home.arpa', 'a.b.internal', '127.0.0.1']) {
  test(`a TLS client that trusts the authority trusts ${name}`, async (t) => {
    t.equal(await handshake(leaf, name), 'trusted')
  })
}

test('a TLS client that trusts the authority trusts ::1', { skip: hasIpv6 ? false : 'no ::1 here' }, async (t) => {
  t.equal(await handshake(leaf, '::1'), 'trusted')
})

test('a certificate whose names are all addresses is trusted', async (t) => {
  t.equal(await handshake(await issueLocalCertificate(authority, ['127.0.0.1'], now), '127.0.0.1'), 'trusted')
})

test('a TLS client refuses a name that the certificate does not have', async (t) => {
  t.match(await handshake(leaf, 'other.test'), /does not match certificate's altnames/)
})

test('a stolen authority key cannot speak for public names and addresses', async (t) => {
  t.equal(await handshake(await forge(authority, 'dns', 'api.localhost'), 'api.localhost'), 'trusted')
  for (const name of ['api.openai.com', 'localhost.example.com', 'evillocalhost']) {
    t.equal(await handshake(await forge(authority, 'dns', name), name), 'permitted subtree violation', name)
  }
  for (const address of ['8.8.8.8', '::ffff:7f00:1', '2606:4700::1111']) {
    const forged = await forge(authority, 'ip', address)
    t.equal(await handshake(forged, 'localhost'), 'permitted subtree violation', address)
  }
})

test('openssl verify agrees in its strict mode', { skip: hasOpenssl ? false : 'no openssl here' }, async (t) => {
  t.match(verifyWithOpenssl(leaf.certificatePem), /leaf\.pem: OK/)
  const forged = await forge(authority, 'dns', 'api.openai.com')
  t.match(verifyWithOpenssl(forged.certificatePem), /permitted subtree violation/)
})

test('names are written as the client will compare them', async (t) => {
  const asked = ['LocalHost', 'büro.local', 'fe80::1%eth0', 'fd00::1.2.3.4', '10.255.255.255', '172.31.0.1']
  const { certificatePem } = await issueLocalCertificate(authority, asked, now)
  const written = new x509.X509Certificate(certificatePem).getExtension(x509.SubjectAlternativeNameExtension)
  t.strictSame(
    written?.names.items.map(({ value }) => value),
    ['localhost', 'xn--bro-hoa.local', 'fe80::1', 'fd00::102:304', '10.255.255.255', '172.31.0.1'],
  )
})

test('a name that the authority is not made for is refused with the way out', async (t) => {
  const wrong = ['api.openai.com', 'evillocalhost', 'localhost.example.com', 'localhost.', '*.*.localhost', 'a_b.test']
  const addresses = [
    '8.8.8.8',
    '128.0.0.1',
    '172.32.0.1',
    '::',
    '::2',
    '::ffff:127.0.0.1',
    'fec0::1',
    '2606:4700::1111',
  ]
  for (const name of ['', ' ', '*', '.local', 'a..local', ...wrong, ...addresses]) {
    const refused = { code: 'SOAKP_LOCAL_NAME_REFUSED', statusCode: 500, message: /SOAKP_TLS=files for that name/ }
    await t.rejects(issueLocalCertificate(authority, ['localhost', name], now), refused, name)
  }
  await t.rejects(issueLocalCertificate(authority, [], now), { code: 'SOAKP_LOCAL_NAME_REFUSED' })
})
