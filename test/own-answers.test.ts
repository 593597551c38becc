import { test } from 'tap'
import { PLAIN, bearer, isRefused } from './support/refusals.ts'
import { ADMIN, startSoakp } from './support/soakp.ts'
import type { JsonAnswer, TestSoakp } from './support/soakp.ts'
import { eventually, exchange, openWire } from './support/wire.ts'

interface LogRecord {
  readonly level: string
  readonly msg: string
  readonly request_id?: string
  readonly error?: { readonly message: string; readonly stack: string; readonly cause?: { readonly message: string } }
}

const readRecords = (logs: readonly string[]) => logs.map((line): LogRecord => JSON.parse(line))
const readEnds = (logs: readonly string[]) => readRecords(logs).filter(({ msg }) => msg === 'request ended')

test('what is not there is answered alike, whoever asks and however near it is to a route', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const asked: string[] = []
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/favicon.ico'],
    ['GET', '/soakp'],
    ['GET', '/soakp/'],
    ['GET', '/soakp/nothing'],
    ['GET', '/soakp/health/'],
    ['GET', '//soakp/keys'],
    ['GET', '/SOAKP/keys'],
    ['GET', '/soakp/keys;x'],
    ['GET', `/soakp/keys/${id}/value`],
    ['GET', `/soakp/keys/${id}/key`],
    ['PUT', '/soakp/keys'],
    ['DELETE', '/soakp/tokens'],
    ['PATCH', '/soakp/tokens/tok_x'],
    ['POST', '/soakp/health'],
    ['OPTIONS', '/soakp/keys'],
    ['GET', '/soakp/admin/reset'],
    ['GET', '/jwt/generate'],
    ['POST', '/jwt'],
    ['GET', '/v10/models'],
  ] as const) {
    for (const headers of [{}, bearer('wrong'), bearer(ADMIN)]) {
      const answer = await soakp.call(method, path, { headers })
      isRefused(t, answer, { status: 404, code: 'SOAKP_NOT_FOUND' }, `${method} ${path}`)
      asked.push(JSON.stringify(answer.body))
    }
  }
  t.equal(new Set(asked).size, 1)
})

test('what is not there is refused before its body has come', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const head = 'POST /nope HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{'
  const wire = await openWire(t, soakp)
  wire.write(head)
  t.match(await wire.until(/SOAKP_NOT_FOUND/), /^HTTP\/1\.1 404 /)
})

test('a request without a host is refused in the envelope that every error has', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const wire = await openWire(t, soakp)
  wire.write('GET /v1/models HTTP/1.1\r\n\r\n')
  t.match(await wire.until(/SOAKP_REQUEST_AMBIGUOUS/), /^HTTP\/1\.1 400 [\s\S]*x-request-id: req_/)
})

test('a path that cannot be read is refused and ends nothing', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'debug' }, { logs })
  for (const [path, status] of [
    ['/soakp/keys/%zz', 400],
    ['/v1/%ff', 400],
    ['/%', 400],
    ['/soakp/keys/CANARY%E0%A4%A', 400],
    [`/soakp/keys/${'CANARY'.repeat(50)}`, 414],
  ] as const) {
    const answer = await soakp.call('GET', path, { headers: bearer(ADMIN) })
    isRefused(t, answer, { status, code: 'SOAKP_PATH_INVALID' }, path.slice(0, 30))
    t.notMatch(JSON.stringify(answer.body), 'CANARY')
  }
  t.equal(readEnds(logs).length, 5, 'each has its record')
  t.notMatch(logs.join(''), 'CANARY')
  t.equal((await soakp.call('GET', '/soakp/health')).status, 200)
})

test('an error that nobody expected is answered without detail and logged with its causes, scrubbed', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'info' }, { logs })
  const { vault } = soakp.app.unsealed
  const cause = new Error('it was sk-proj-CANARY0123456789')
  for (const thrown of [
    new Error('DETAIL of /a/file', { cause }),
    'DETAIL',
    { statusCode: 200, message: 'DETAIL' },
    null,
  ]) {
    logs.length = 0
    vault.list = async () => {
      throw thrown
    }
    const { status, headers, body } = await soakp.manage('GET', '/soakp/keys')
    const message = 'Something failed inside SOAKP. The log has it under this request id.'
    const error = { message, type: 'server_error', code: 'SOAKP_INTERNAL', param: null }
    t.strictSame([status, body], [500, { error }])
    const [record] = readRecords(logs).filter(({ level }) => level === 'error')
    t.equal(record?.request_id, headers.get('x-request-id'), 'the answer names the record')
    t.notMatch(logs.join(''), 'CANARY')
    if (!(thrown instanceof Error)) continue
    t.match(record?.error, {
      message: 'DETAIL of /a/file',
      stack: /own-answers\.test/,
      cause: { message: /^it was \[/ },
    })
  }
  t.equal((await soakp.manage('GET', '/soakp/tokens')).status, 200, 'the next request is fine')
})

test('the log has one record for each request, of listed fields, and nothing that was sent', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'info' }, { logs })
  const { id, token, tokenId } = await soakp.saveKey({ name: 'CANARY name', organization: 'CANARY-org' })
  soakp.upstream.handle('GET', '/v1/CANARY', (_request, response) => void response.end('{"CANARY":1}'))
  const canaries = { 'x-canary': 'CANARY', cookie: 'CANARY', 'user-agent': 'CANARY' }
  const requests: [method: string, path: string, credential: string, route: string | undefined, status: number][] = [
    ['GET', '/v1/CANARY?CANARY=CANARY', token, '/v1/*', 200],
    ['POST', '/openai/CANARY', token, '/openai/*', 404],
    ['GET', '/v1/CANARY', 'CANARY', '/v1/*', 401],
    ['GET', '/soakp/keys/CANARY?CANARY=1', ADMIN, '/soakp/keys/:id', 404],
    ['GET', '/soakp/keys?CANARY=1', ADMIN, '/soakp/keys', 400],
    ['GET', '/CANARY', ADMIN, undefined, 404],
    ['GET', '/soakp/me', token, '/soakp/me', 200],
    ['POST', '/jwt/generate', 'CANARY', '/jwt/generate', 401],
  ]
  for (const [method, path, credential, route, status] of requests) {
    logs.length = 0
    const answer = await soakp.call(method, path, { headers: { ...bearer(credential), ...canaries } })
    t.equal(answer.status, status, path)
    await eventually('a record', () => readEnds(logs).length > 0)
    const [record, ...others] = readEnds(logs)
    t.strictSame(others, [], `${path}: one`)
    const { level, time, request_id, duration_ms, code, ...fields } = Object(record)
    const isPassedOn = status !== 401 && route?.endsWith('*')
    const byToken = credential === token ? { token: tokenId, key: id } : {}
    const end = isPassedOn ? { end: 'complete', bytes: fields.bytes } : {}
    t.strictSame(fields, { msg: 'request ended', method, ...(route && { route }), status, ...byToken, ...end })
    t.match(
      { level, request_id, duration_ms, time },
      { level: 'info', request_id: /^req_/, duration_ms: Number, time: /^20/ },
    )
    if (!isPassedOn) t.equal(answer.headers.get('x-request-id'), request_id)
    t.equal(code, isPassedOn || status === 200 ? undefined : answer.body.error.code)
    t.notMatch(logs.join(''), 'CANARY', path)
  }
  t.notMatch(logs.join(''), soakp.upstream.key)
  t.notMatch(logs.join(''), token)
})

test('the headers of an answer are its own kind: ours are not kept, those passed on are untouched', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { token } = await soakp.saveKey()
  const own: [TestSoakp['call'] extends (...all: infer All) => unknown ? All : never, number][] = [
    [['GET', '/soakp/keys', { headers: bearer(ADMIN) }], 200],
    [['GET', '/soakp/keys'], 401],
    [['GET', '/soakp/me', { headers: bearer(token) }], 200],
    [['GET', '/v1/models'], 401],
    [['GET', '/nothing'], 404],
  ]
  const headersOf = ({ headers }: JsonAnswer) => ({
    cache: headers.get('cache-control'),
    sniffing: headers.get('x-content-type-options'),
    policy: headers.get('cross-origin-resource-policy'),
  })
  for (const [request, status] of own) {
    const answer = await soakp.call(...request)
    t.equal(answer.status, status)
    t.strictSame(headersOf(answer), { cache: 'no-store', sniffing: 'nosniff', policy: 'same-origin' })
    t.match(answer.headers.get('x-request-id'), /^req_/)
  }
  soakp.upstream.handle('GET', '/v1/file', (_request, response) => {
    response.writeHead(200, { 'cache-control': 'max-age=60', 'x-request-id': 'theirs' }).end()
  })
  const passed = await soakp.call('GET', '/v1/file', { headers: bearer(token) })
  t.strictSame(headersOf(passed), { cache: 'max-age=60', sniffing: null, policy: null })
  t.equal(passed.headers.get('x-request-id'), 'theirs')
  const raw = await exchange(t, soakp, ['GET /v1/file HTTP/1.1', `Authorization: Bearer ${token}`])
  t.equal(raw.match(/x-request-id/gi)?.length, 1, 'there is one request id')
})
