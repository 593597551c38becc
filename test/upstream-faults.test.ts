import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { TlsOptions } from 'node:tls'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import type { LocalAuthority } from '../services/local-authority.ts'
import { OK, RAW_KEY, startPassing } from './support/passing.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'
import { answerText, openWire, requestText, startRawUpstream } from './support/wire.ts'
import type { RawHandler, Wire } from './support/wire.ts'

const DAY_MS = 86_400_000
const bytes = (buffer: Buffer) => buffer.toString('latin1')

test('an upstream that does not prove its identity never sees a byte of HTTP', async (t) => {
  const now = new Date()
  const longAgo = new Date(now.getTime() - 100 * DAY_MS)
  const trusted = await createLocalAuthority(longAgo)
  const unknown = await createLocalAuthority(now)
  const issue = async (authority: LocalAuthority, name: string, at: Date): Promise<TlsOptions> => {
    const { certificatePem, privateKeyPem } = await issueLocalCertificate(authority, [name], at)
    return { cert: certificatePem, key: privateKeyPem }
  }
  const good = await issue(trusted, '127.0.0.1', now)
  const faults: Record<string, TlsOptions> = {
    'a wrong name': await issue(trusted, 'elsewhere.test', now),
    'a wrong address': await issue(trusted, '127.0.0.2', now),
    expired: await issue(trusted, '127.0.0.1', longAgo),
    'not valid yet': await issue(trusted, '127.0.0.1', new Date(now.getTime() + 10 * DAY_MS)),
    'of an unknown root': await issue(unknown, '127.0.0.1', now),
    'signed by itself': { cert: unknown.certificatePem, key: unknown.privateKeyPem },
    'over TLS 1.1': { ...good, minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
  }
  const file = join(await temporaryFolder(t), 'roots.pem')
  await writeFile(file, trusted.certificatePem)
  const soakp = await startSoakp(t, { SOAKP_UPSTREAM_CA_FILE: file })
  const strict = await startSoakp(t)

  async function call(server: typeof soakp, tls: TlsOptions) {
    const upstream = await startRawUpstream(t, tls)
    const { token } = await server.saveKey({ base_url: upstream.url, key: RAW_KEY })
    const answer = await server.call('GET', '/v1/models', { headers: { authorization: `Bearer ${token}` } })
    return { ...answer, sent: upstream.wires.map((wire) => wire.text()).join('') }
  }

  for (const [title, tls] of Object.entries(faults)) {
    const { status, body, headers, sent } = await call(soakp, tls)
    t.same([status, body.error?.code, sent], [502, 'SOAKP_UPSTREAM_CERTIFICATE', ''], title)
    t.equal(headers.get('x-should-retry'), 'false')
  }
  t.match(await call(strict, good), { status: 502, sent: '' }, 'a private root is not trusted by default')
  t.match(await call(soakp, good), { status: 200, body: 'ok' }, 'it is with SOAKP_UPSTREAM_CA_FILE')
})

test('the key never comes back', async (t) => {
  const { ask, logs } = await startPassing(t)
  const text = `{"error":"Incorrect API key provided: ${RAW_KEY}"}`
  const sized = (line: string, body: string, ...headers: readonly string[]) =>
    answerText([line, ...headers, `Content-Length: ${body.length}`], body)
  const chunked = (line: string, chunks: readonly string[]) => {
    const body = [...chunks, ''].map((each) => `${each.length.toString(16)}\r\n${each}\r\n`).join('')
    return answerText([line, 'Transfer-Encoding: chunked'], body)
  }

  await t.test('a 401 becomes our own error, and the log says which key to replace', async (step) => {
    const answer = await ask(({ wire }) => wire.write(sized('HTTP/1.1 401 Unauthorized', text)))
    step.match(answer, /^HTTP\/1\.1 502 .*x-should-retry: false.*SOAKP_UPSTREAM_REFUSED_KEY/s)
    step.match(logs.join(''), /"key":"key_[^"]+"[^\n]*the upstream refuses this key: replace it/)
  })

  await t.test('a 403 passes byte for byte, unless the key is in it', async (step) => {
    const harmless = sized('HTTP/1.1 403 Forbidden', bytes(gzipSync('sk-not-the-key')), 'Content-Encoding: gzip')
    const answer = await ask(({ wire }) => wire.write(harmless))
    step.equal(answer.slice(answer.indexOf('\r\n\r\n')), harmless.slice(harmless.indexOf('\r\n\r\n')))
    step.match(answer, /^HTTP\/1\.1 403 Forbidden\r\nContent-Encoding: gzip\r\n/)
    const gzipped = gzipSync(text)
    const leaks = {
      plain: sized('HTTP/1.1 403 No', text),
      gzip: sized('HTTP/1.1 403 No', bytes(gzipped), 'Content-Encoding: gzip'),
      brotli: sized('HTTP/1.1 500 No', bytes(brotliCompressSync(text)), 'Content-Encoding: BR'),
      zstd: sized('HTTP/1.1 429 No', bytes(zstdCompressSync(text)), 'Content-Encoding: zstd'),
      'gzip twice': sized('HTTP/1.1 403 No', bytes(gzipSync(gzipped)), 'Content-Encoding: gzip, gzip'),
      'gzip without its end': sized('HTTP/1.1 403 No', bytes(gzipped.subarray(0, -8)), 'Content-Encoding: gzip'),
      'too much to look through': sized(
        'HTTP/1.1 403 No',
        bytes(gzipSync(Buffer.alloc(2e6))),
        'Content-Encoding: gzip',
      ),
      'byte by byte': chunked('HTTP/1.1 403 No', text.split('')),
      'after much else': sized('HTTP/1.1 403 No', 'x'.repeat(65_000) + text),
    }
    for (const [title, leak] of Object.entries(leaks)) {
      step.match(await ask(({ wire }) => wire.write(leak)), /^HTTP\/1\.1 502 .*SOAKP_UPSTREAM_LEAK/s, title)
    }
  })

  await t.test('nor in a header, a reason, or a body of any status at any split', async (step) => {
    const before = /^HTTP\/1\.1 502 .*SOAKP_UPSTREAM_LEAK/s
    step.match(await ask(({ wire }) => wire.write(sized('HTTP/1.1 200 OK', 'ok', `X-Echo: Bearer ${RAW_KEY}`))), before)
    step.match(await ask(({ wire }) => wire.write(sized(`HTTP/1.1 200 ${RAW_KEY}`, 'ok'))), before)
    const [start, end] = [RAW_KEY.slice(0, 20), RAW_KEY.slice(10)]
    for (let at = 1; at < RAW_KEY.length; at += 3) {
      const split = ['a', RAW_KEY.slice(0, at), RAW_KEY.slice(at), 'b']
      const answer = await ask(({ wire }) => wire.write(chunked('HTTP/1.1 200 OK', split)))
      step.notOk(answer.includes(start) || answer.includes(end) || answer.endsWith('0\r\n\r\n'), `split at ${at}`)
    }
    const big = sized('HTTP/1.1 400 Bad', 'x'.repeat(200_000) + text)
    const answer = await ask(({ wire }) => wire.write(big))
    step.match(answer, /^HTTP\/1\.1 400 Bad/)
    step.notOk(answer.includes(start))
    const events = answerText(['HTTP/1.1 500 No', 'Content-Type: text/event-stream'], `data: x\n\ndata: ${RAW_KEY}\n\n`)
    step.notMatch(await ask(({ wire }) => wire.write(events)), start)
  })

  await t.test('what only looks like its beginning passes', async (step) => {
    const body = `${RAW_KEY.slice(0, -1)} s sk sk- ${RAW_KEY.slice(0, 10)}`
    step.ok((await ask(({ wire }) => wire.write(sized('HTTP/1.1 200 OK', body)))).endsWith(body))
    step.ok((await ask(({ wire }) => wire.write(sized('HTTP/1.1 400 No', body)))).endsWith(body))
  })
  t.notMatch(logs.join(''), RAW_KEY)
})

test('an upstream that misbehaves costs one call a clean error, and the next call works', async (t) => {
  const settings = { SOAKP_UPSTREAM_ANSWER_SECONDS: '1', SOAKP_UPSTREAM_IDLE_SECONDS: '1' }
  const { ask, authorization, soakp, upstream } = await startPassing(t, settings)
  const write =
    (answer: string) =>
    ({ wire }: { wire: Wire }) =>
      wire.write(answer)
  const writeAndClose =
    (answer: string): RawHandler =>
    ({ wire }) =>
      wire.socket.end(answer, 'latin1')
  const writeAndReset =
    (answer: string): RawHandler =>
    ({ wire }) =>
      wire.socket.write(answer, () => wire.socket.resetAndDestroy())
  const endless: RawHandler = ({ wire: { socket } }) => {
    const more = () => socket.write(`X-${'h'.repeat(60)}: 1\r\n`.repeat(100), () => !socket.destroyed && more())
    socket.write('HTTP/1.1 200 OK\r\n')
    more()
  }
  const unreachable = 'SOAKP_UPSTREAM_UNREACHABLE'
  const malformed = 'SOAKP_UPSTREAM_MALFORMED'
  const faults: Record<string, [handler: RawHandler, expected: RegExp | string]> = {
    'a close before the answer': [writeAndClose(''), unreachable],
    'a close within the head': [writeAndClose('HTTP/1.1 200 OK\r\nX: '), unreachable],
    'a close within a refusal': [
      writeAndClose(answerText(['HTTP/1.1 404 No', 'Content-Length: 9'], 'part')),
      /502|504/,
    ],
    'a reset before the answer': [({ wire }) => wire.socket.resetAndDestroy(), unreachable],
    'a reset within the head': [writeAndReset('HTTP/1.1 200 OK\r\nX: '), unreachable],
    'a reset within a stream': [
      writeAndReset(answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'], '4\r\npart\r\n')),
      /^HTTP\/1\.1 (?:200|502)(?!.*0\r\n\r\n$)/s,
    ],
    'another protocol': [writeAndClose('SSH-2.0-OpenSSH_9\r\n'), malformed],
    'endless headers': [endless, malformed],
    'two lengths': [write(answerText(['HTTP/1.1 200 OK', 'Content-Length: 2', 'Content-Length: 2'], 'ok')), malformed],
    'a length and chunks': [
      write(answerText(['HTTP/1.1 200 OK', 'Content-Length: 2', 'Transfer-Encoding: chunked'], '0\r\n\r\n')),
      malformed,
    ],
    'a coding that nobody asked for': [
      write(answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: gzip, chunked'], '2\r\nok\r\n0\r\n\r\n')),
      malformed,
    ],
    'a bad chunk': [
      write(answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'], '4\r\npart\r\nzz\r\n')),
      /^HTTP\/1\.1 200 OK.*part\r\n$/s,
    ],
    'another protocol that nobody asked for': [
      write(answerText(['HTTP/1.1 101 Switching', 'Upgrade: x', 'Connection: upgrade'])),
      malformed,
    ],
    'two thousand hints': [
      write(answerText(['HTTP/1.1 103 Early Hints', 'Link: </a>']).repeat(2_000) + OK),
      /^HTTP\/1\.1 200 OK.*ok$/s,
    ],
    'status 999': [write(OK.replace('200', '999')), /^HTTP\/1\.1 999 OK.*ok$/s],
    'status 99': [write(OK.replace('200', '99')), malformed],
    'a reason that is no UTF-8': [write(OK.replace('200 OK', '418 \xff\xfe')), /^HTTP\/1\.1 418 .*ok$/s],
    'more than was announced': [write(`${OK}HTTP/1.1 200 OK\r\n`), /^HTTP\/1\.1 200 OK.*ok$/s],
  }
  for (const [title, [handler, expected]] of Object.entries(faults)) {
    await t.test(title, async (step) => {
      const before = upstream.requests.length
      step.match(await ask(handler), expected)
      step.equal(upstream.requests.length, before + 1, 'one call is one upstream call')
      step.match(await ask(write(OK)), /^HTTP\/1\.1 200 OK.*ok$/s, 'the next call')
    })
  }
  t.equal(soakp.app.unsealed.liveCalls.size, 0)

  await t.test('a reset within an upload', async (step) => {
    upstream.answer(({ wire }) => wire.socket.resetAndDestroy())
    const client = await openWire(step, soakp)
    const size = 500_000
    client.write(requestText(['POST /v1/x HTTP/1.1', authorization, `Content-Length: ${2 * size}`], 'x'.repeat(size)))
    step.match(await client.until(/\}$/), /^HTTP\/1\.1 502 .*SOAKP_UPSTREAM_UNREACHABLE/s)
    upstream.answer(write(OK))
    client.write('x'.repeat(size) + requestText(['GET /v1/x HTTP/1.1', authorization]))
    step.match(await client.until(/ok$/), /HTTP\/1\.1 200 OK/, 'and the connection can be used again')
  })

  await t.test('silence, at whatever point', async (step) => {
    const silences: Record<string, [text: string, expected: RegExp | string]> = {
      '/v1/before': ['', 'SOAKP_UPSTREAM_TIMEOUT'],
      '/v1/head': ['HTTP/1.1 200 OK\r\nX:', 'SOAKP_UPSTREAM_TIMEOUT'],
      '/v1/refusal': [answerText(['HTTP/1.1 404 No', 'Content-Length: 9'], 'part'), 'SOAKP_UPSTREAM_TIMEOUT'],
      '/v1/body': [answerText(['HTTP/1.1 200 OK', 'Content-Length: 9'], 'part'), /^HTTP\/1\.1 200 OK.*part$/s],
    }
    const silent: RawHandler = ({ line, wire }) => wire.write(silences[line.split(' ')[1] ?? '']?.[0] ?? '')
    const answers = Object.keys(silences).map((path) => ask(silent, [`GET ${path} HTTP/1.1`]))
    for (const [index, [path, [, expected]]] of Object.entries(silences).entries()) {
      step.match(await answers[index], expected, path)
    }
  })

  await t.test('nobody there', async (step) => {
    const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.invalid`
    const expected = { 'http://127.0.0.1:1/v1': unreachable, [`https://${name}/v1`]: unreachable }
    for (const [base_url, code] of Object.entries(expected)) {
      const { token } = await soakp.saveKey({ base_url, key: RAW_KEY })
      const { status, body } = await soakp.call('GET', '/v1/x', { headers: { authorization: `Bearer ${token}` } })
      step.same([status, body.error.code], [502, code])
    }
  })
})
