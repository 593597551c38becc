import { once } from 'node:events'
import { rename, rm, symlink, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { SecureVersion } from 'node:tls'
import { test } from 'tap'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { createServer } from '../fastify.config.ts'
import type { TlsOptions } from '../plugins/tls.ts'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { readConfiguration } from '../services/configuration.ts'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import { ADMIN, temporaryFolder } from './support/soakp.ts'
import { eventually } from './support/wire.ts'

const NEVER_MS = 86_400_000
const authority = await createLocalAuthority(new Date())
const ca = authority.certificatePem

/** A certificate and its key that were issued so many days ago; the certificate says which by its second name. */
async function issue(name: string, daysAgo = 0) {
  const at = new Date(Date.now() - daysAgo * 86_400_000)
  const { certificatePem, privateKeyPem } = await issueLocalCertificate(authority, ['localhost', `${name}.test`], at)
  return { cert: certificatePem, key: privateKeyPem }
}

/** A SOAKP with certificate files that looks after them every `pollMs`. */
async function start(t: Test, pollMs: number) {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  const folder = await temporaryFolder(t)
  const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') }

  /** Replaces a file as certbot and editors do, so that nobody sees half of it. */
  async function put(which: 'cert' | 'key', text: string): Promise<void> {
    await writeFile(`${files[which]}.new`, text)
    await rename(`${files[which]}.new`, files[which])
  }
  const first = await issue('first')
  await put('cert', first.cert)
  await put('key', first.key)

  const { configuration } = readConfiguration(
    {
      SOAKP_DATA_DIR: join(folder, 'data'),
      SOAKP_PORT: '0',
      SOAKP_ADMIN_TOKEN: ADMIN,
      SOAKP_UPSTREAM: upstream.url,
      SOAKP_TLS: 'files',
      SOAKP_TLS_CERT_FILE: files.cert,
      SOAKP_TLS_KEY_FILE: files.key,
      SOAKP_DRAIN_SECONDS: '1',
    },
    folder,
  )
  const logs: string[] = []
  const options: TlsOptions = {
    configuration,
    certificatePollMs: pollMs,
    logStream: { write: (line) => void logs.push(line) },
  }
  const app = await createServer(options)
  await app.listen({ host: configuration.host, port: 0 })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo

  /** Which certificate a new connection gets, whether it resumed `session`, and the session that it was given. */
  async function see({ session, version }: { session?: Buffer | undefined; version?: SecureVersion } = {}) {
    const socket = connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca,
      ...(version && { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' }),
      ...(session && { session }),
    })
    const given = once(socket, 'session') as Promise<[Buffer]>
    given.catch(() => undefined)
    await once(socket, 'secureConnect')
    const [, name] = /DNS:(\w+)\.test/.exec(socket.getPeerX509Certificate()?.subjectAltName ?? '') ?? []
    const isResumed = socket.isSessionReused()
    // One that resumes is not always given another.
    const [ticket] = isResumed ? [session] : await given
    socket.destroy()
    return { name, isResumed, session: ticket }
  }

  const refusals = () => logs.filter((line) => line.includes('changed certificate not taken')).length
  const swaps = () => logs.filter((line) => line.includes('changed certificate taken into use')).length
  return { app, upstream, folder, files, put, port, logs, see, refusals, swaps }
}

test('a stream runs on while its certificate is replaced, and new connections get the new one', async (t) => {
  const soakp = await start(t, 20)
  const agent = new Agent({ connect: { ca } })
  t.teardown(() => agent.destroy())
  const address = `https://localhost:${soakp.port}`
  const headers = { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ key: soakp.upstream.key })
  const saved = await fetch(`${address}/soakp/keys`, { method: 'POST', headers, body, dispatcher: agent })
  const { token } = ((await saved.json()) as { token: { token: string } }).token
  const responses: ServerResponse[] = []
  soakp.upstream.handle('GET', '/v1/slow', (_, response) => {
    response.write('before ')
    responses.push(response)
  })
  const authorization = `Bearer ${token}`
  const http1 = await fetch(`${address}/v1/slow`, { headers: { authorization }, dispatcher: agent })
  const client = connectHttp2(address, { ca })
  t.teardown(() => client.destroy())
  const http2 = client.request({ ':path': '/v1/slow', authorization }).setEncoding('utf8')
  await eventually('both streams run', () => responses.length === 2)

  const second = await issue('second')
  await soakp.put('key', second.key)
  await soakp.put('cert', second.cert)
  await eventually('the pair is taken', () => soakp.swaps() === 1)
  t.equal((await soakp.see()).name, 'second', 'a new connection gets the new one')

  for (const response of responses) response.end('after')
  t.equal(await http1.text(), 'before after', 'HTTP/1.1')
  t.equal((await http2.toArray()).join(''), 'before after', 'HTTP/2')
  t.notOk(client.destroyed, 'the connection itself stays')
})

test('a certificate whose key has not come yet is never served, and is complained of once', async (t) => {
  const soakp = await start(t, 5)
  const second = await issue('second')
  await soakp.put('cert', second.cert)
  await eventually('it is complained of', () => soakp.refusals() === 1)
  t.match(soakp.logs.join(''), `The key in ${soakp.files.key} does not belong to the certificate in`)
  const seen = await Promise.all(Array.from({ length: 20 }, () => soakp.see()))
  t.same(new Set(seen.map(({ name }) => name)), new Set(['first']), 'the old pair goes on')
  t.equal(soakp.refusals(), 1, 'once')
  await soakp.put('key', second.key)
  await eventually('the pair is taken', () => soakp.swaps() === 1)
  t.equal((await soakp.see()).name, 'second')
  t.equal(soakp.refusals(), 1)
})

test('what is broken, cut off, expired or gone is not taken, and the next good pair is', async (t) => {
  const soakp = await start(t, 5)
  const [second, expired] = await Promise.all([issue('second'), issue('expired', 100)])
  const bad: [string, () => Promise<unknown>, RegExp][] = [
    ['no PEM', () => soakp.put('cert', 'certificate'), /must be a certificate and its private key in PEM/],
    ['cut off', () => soakp.put('cert', second.cert.slice(0, -40)), /must be a certificate/],
    [
      'a chain that is cut off',
      () => soakp.put('cert', `${second.cert}\n${ca.slice(0, 300)}`),
      /must be a certificate/,
    ],
    ['gone', () => rm(soakp.files.cert), /cannot be read/],
    ['a key that is none', () => soakp.put('key', 'key'), /cannot be read|must be a certificate/],
    [
      'expired',
      () => Promise.all([soakp.put('cert', expired.cert), soakp.put('key', expired.key)]),
      /The certificate in \S+ expired at \d{4}-/,
    ],
  ]
  for (const [what, make, sentence] of bad) {
    const before = soakp.logs.length
    await make()
    const complaint = () => soakp.logs.slice(before).some((line) => sentence.test(line))
    await eventually(`${what} is complained of`, complaint)
    t.equal((await soakp.see()).name, 'first', `${what}: the old pair goes on`)
  }
  await soakp.put('cert', `${second.cert}\n${ca}`)
  await soakp.put('key', second.key)
  await eventually('the pair is taken', () => soakp.swaps() === 1)
  t.equal((await soakp.see()).name, 'second')
})

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`a resumed session of ${version} does not keep the old certificate`, async (t) => {
    const soakp = await start(t, 5)
    const before = await soakp.see({ version })
    const resumed = await soakp.see({ session: before.session, version })
    t.match([before.name, resumed.isResumed], ['first', true], 'sessions are resumed')
    const second = await issue('second')
    await soakp.put('cert', second.cert)
    await soakp.put('key', second.key)
    await eventually('the pair is taken', () => soakp.swaps() === 1)
    t.match(await soakp.see({ session: resumed.session, version }), { name: 'second', isResumed: false })
    t.match(await soakp.see({ version }), { name: 'second' })
    await t.rejects(soakp.see({ version: 'TLSv1.1' }), /alert protocol version/, 'the limits of TLS still hold')
  })
}

test('SIGHUP has the files looked at now, links are followed, and what did not change is left', async (t) => {
  const listeners = process.listenerCount('SIGHUP')
  const soakp = await start(t, NEVER_MS)
  const second = await issue('second')
  for (const which of ['cert', 'key'] as const) {
    await writeFile(join(soakp.folder, `second-${which}.pem`), second[which])
    await rm(soakp.files[which])
    await symlink(join(soakp.folder, `second-${which}.pem`), soakp.files[which])
  }
  t.equal((await soakp.see()).name, 'first')
  process.kill(process.pid, 'SIGHUP')
  await eventually('the pair is taken', () => soakp.swaps() === 1)
  const { name, session } = await soakp.see()
  t.equal(name, 'second')

  await soakp.put('cert', second.cert)
  const third = await issue('third')
  await writeFile(join(soakp.folder, 'second-key.pem'), third.key)
  process.kill(process.pid, 'SIGHUP')
  await eventually('the key behind the link is looked at', () => soakp.refusals() === 1)
  await writeFile(join(soakp.folder, 'second-key.pem'), second.key)
  process.kill(process.pid, 'SIGHUP')
  await once(process, 'SIGHUP')
  await soakp.put('cert', third.cert)
  process.kill(process.pid, 'SIGHUP')
  await eventually('the bad pair after it is complained of', () => soakp.refusals() === 2)
  t.equal(soakp.swaps(), 1, 'the same pair as before is no change')
  t.equal((await soakp.see({ session })).isResumed, true, 'and ends no session')
  await soakp.app.close()
  t.equal(process.listenerCount('SIGHUP'), listeners, 'nothing is left behind')
})
