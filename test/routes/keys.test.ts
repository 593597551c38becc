import { test } from 'tap'
import { pretendDomain } from '../support/pretended-domain.ts'
import { PLAIN, bearer, isRefused } from '../support/refusals.ts'
import { ADMIN, startSoakp } from '../support/soakp.ts'

test('every form of key that providers give out is saved', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const keys = [
    'sk-abcDEF0123456789',
    'sk-proj-A_b-9.x',
    'sk-svcacct-ABCDEFGH',
    'sk-admin-01234567',
    '0123456789abcdef'.repeat(2),
  ]
  for (const key of [...keys, 'x'.repeat(8), `sk-${'y'.repeat(4093)}`]) {
    const { status, headers, body } = await soakp.manage('POST', '/soakp/keys', { key, name: 'a name' })
    t.equal(status, 201, key.slice(0, 20))
    const { token, ...saved } = body
    t.match(saved, { object: 'key', id: /^key_[\w-]{22}$/, name: 'a name', version: 1, base_url: soakp.upstream.url })
    t.ok(Math.abs(saved.created_at - Date.now() / 1000) < 60, 'times are Unix seconds')
    t.strictSame(Object.keys(saved), ['object', 'id', 'name', 'base_url', 'version', 'created_at', 'updated_at'])
    t.match(token, { object: 'token', id: /^tok_/, key_id: body.id, token: /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/ })
    t.equal(headers.get('cache-control'), 'no-store', 'an answer with a token is not kept')
    t.notOk(JSON.stringify(body).includes(key), 'the key is not in the answer')
  }
})

test('what no header can carry is refused as a key and not repeated', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'debug' }, { logs })
  const { id } = await soakp.saveKey()
  const canary = 'CANARY0123456789'
  const keys = [
    `sk ${canary}`,
    `${canary}\n`,
    ` ${canary}`,
    `sk-\u0000${canary}`,
    `${canary}é`,
    `${canary}\u2028`,
    '\u007f'.repeat(9),
  ]
  for (const key of [...keys, `short`, 'z'.repeat(4096) + canary]) {
    const saved = await soakp.manage('POST', '/soakp/keys', { key })
    t.match(saved, { status: 400, body: { error: { param: 'key', type: 'invalid_request_error' } } })
    const replaced = await soakp.manage('PUT', `/soakp/keys/${id}/value`, { key })
    t.match(replaced, { status: 400, body: { error: { param: 'key' } } })
    t.notMatch(JSON.stringify([saved, replaced]), canary)
  }
  isRefused(t, await soakp.manage('POST', '/soakp/keys', { key: `sk ${canary}` }), {
    status: 400,
    code: 'SOAKP_KEY_INVALID',
    param: 'key',
  })
  isRefused(t, await soakp.manage('POST', '/soakp/keys', { key: '' }), {
    status: 400,
    code: 'SOAKP_REQUEST_INVALID',
    param: 'key',
  })
  t.notMatch(logs.join(''), canary)
  t.equal((await soakp.manage('GET', '/soakp/keys')).body.data.length, 1, 'nothing was saved')
})

test('a body with a wrong field is refused by the name of the field', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const key = 'sk-proj-CANARY0123456789'
  const cases: [body: object, param: string | null][] = [
    [{}, 'key'],
    [{ key, nam: 'x' }, 'nam'],
    [{ key, base_url: 1 }, 'base_url'],
    [{ key, name: null }, 'name'],
    [{ key, name: '' }, 'name'],
    [{ key, name: 'x'.repeat(201) }, 'name'],
    [{ key, organization: 'a b' }, 'organization'],
    [{ key, organization: 'a\r\nb: c' }, 'organization'],
    [{ key, project: 'ü' }, 'project'],
    [{ key, project: '' }, 'project'],
    [{ key: [key] }, 'key'],
    [{ key: 7 }, 'key'],
    [{ [key]: 'in the wrong place' }, 'key'],
    [{ key, [key]: 'in the wrong place' }, null],
    [[{ key }], null],
  ]
  for (const [body, param] of cases) {
    const answer = await soakp.manage('POST', '/soakp/keys', body)
    isRefused(t, answer, { status: 400, code: 'SOAKP_REQUEST_INVALID', param }, JSON.stringify(body))
    t.notMatch(JSON.stringify(answer.body), 'CANARY')
  }
})

test('a body that cannot be read is refused and not repeated', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'debug' }, { logs })
  const key = 'CANARY0123456789'
  const send = (body: string | undefined, type = 'application/json') =>
    soakp.call('POST', '/soakp/keys', { headers: { ...bearer(ADMIN), ...(type && { 'content-type': type }) }, body })
  const cases: [what: string, body: string | undefined, status: number, code: string, type?: string][] = [
    ['no JSON', `{"key": ${key}`, 400, 'SOAKP_BODY_INVALID'],
    ['a key alone', key, 400, 'SOAKP_BODY_INVALID'],
    ['an empty body', '', 400, 'SOAKP_REQUEST_INVALID'],
    ['null', 'null', 400, 'SOAKP_REQUEST_INVALID'],
    ['a string', `"${key}"`, 400, 'SOAKP_REQUEST_INVALID'],
    ['a prototype', `{"key":"${key}","__proto__":{"name":"x"}}`, 400, 'SOAKP_BODY_INVALID'],
    ['100,000 nested arrays', '['.repeat(100_000) + ']'.repeat(100_000), 400, 'SOAKP_REQUEST_INVALID'],
    ['100,000 arrays that do not end', '['.repeat(100_000), 400, 'SOAKP_BODY_INVALID'],
    ['2 MB', JSON.stringify({ key: key.repeat(130_000) }), 413, 'SOAKP_BODY_TOO_LARGE'],
    ['a form', `key=${key}`, 415, 'SOAKP_CONTENT_TYPE', 'application/x-www-form-urlencoded'],
    ['plain text', `{"key":"${key}"}`, 415, 'SOAKP_CONTENT_TYPE', 'text/plain'],
    ['no type', `{"key":"${key}"}`, 415, 'SOAKP_CONTENT_TYPE', ' '],
    ['almost JSON', `{"key":"${key}"}`, 415, 'SOAKP_CONTENT_TYPE', 'application/json\ta'],
    ['no body', undefined, 400, 'SOAKP_REQUEST_INVALID', ''],
  ]
  for (const [what, body, status, code, type] of cases) {
    const answer = await send(body, type)
    isRefused(t, answer, { status, code }, what)
    t.notMatch(JSON.stringify(answer.body), 'CANARY', what)
  }
  t.notMatch(logs.join(''), 'CANARY')
  t.equal((await send(`{"key":"${key}"}`, 'Application/JSON; charset=utf-8')).status, 201, 'a charset is fine')
})

test('a base URL is taken as SDKs take it, and none leads to where no key belongs', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ALLOW_PRIVATE_UPSTREAMS: 'http://10.0.0.5:8080' })
  const save = (base_url: string) => soakp.manage('POST', '/soakp/keys', { key: 'sk-01234567', base_url })
  for (const [given, saved] of [
    ['https://gateway.example.com', 'https://gateway.example.com/v1'],
    ['https://gateway.example.com/', 'https://gateway.example.com/v1'],
    ['https://Gateway.example.com:8443/openai/v1/', 'https://gateway.example.com:8443/openai/v1'],
    ['http://localhost:8000/v1', 'http://localhost:8000/v1'],
    ['http://[::1]:8000', 'http://[::1]:8000/v1'],
    ['http://10.0.0.5:8080', 'http://10.0.0.5:8080/v1'],
  ] as const) {
    t.match(await save(given), { status: 201, body: { base_url: saved } }, given)
  }
  for (const refused of [
    'http://gateway.example.com/v1',
    'http://10.0.0.5:8081',
    'https://10.0.0.6',
    'https://192.168.1.1/v1',
    'http://169.254.169.254/latest',
    'https://169.254.169.254',
    'https://[fd00:ec2::254]',
    'https://[::ffff:169.254.169.254]',
    'https://0xa9fea9fe/',
    'https://user:password@gateway.example.com',
    'https://gateway.example.com/v1?key=x',
    'https://gateway.example.com/v1#x',
    'ftp://gateway.example.com',
    'gateway.example.com',
    '',
  ]) {
    const expected = { status: 400, code: 'SOAKP_BASE_URL_INVALID', param: 'base_url' }
    isRefused(t, await save(refused), expected, `not ${refused}`)
  }
})

test('calls go to the base URL of the key with its prefix, whichever prefix they come by', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const base_url = `http://127.0.0.1:${soakp.upstream.port}/team/openai/`
  const { token } = await soakp.saveKey({ base_url })
  soakp.upstream.handle('GET', '*', (_request, response) => void response.end('{}'))
  for (const path of ['/v1/models?a=%2F&b', '/openai/models?a=%2F&b']) {
    t.equal((await soakp.call('GET', path, { headers: bearer(token) })).status, 200)
  }
  t.strictSame(
    soakp.upstream.requests.map(({ url }) => url),
    ['/team/openai/models?a=%2F&b', '/team/openai/models?a=%2F&b'],
  )
})

test('organization and project of the key win over those of the client, which pass where the key has none', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const clients = { 'openai-organization': 'org-client', 'OpenAI-Project': 'proj_client' }
  async function sent(extra: object): Promise<object> {
    const { token } = await soakp.saveKey({ ...extra })
    await soakp.call('GET', '/v1/models', { headers: { ...bearer(token), ...clients } })
    const { rawHeaders = [] } = soakp.upstream.requests.at(-1) ?? {}
    const values = (name: string) =>
      rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name)
    return { organization: values('openai-organization'), project: values('openai-project') }
  }
  t.strictSame(await sent({}), { organization: ['org-client'], project: ['proj_client'] })
  t.strictSame(await sent({ organization: 'org-key' }), { organization: ['org-key'], project: ['proj_client'] })
  t.strictSame(await sent({ organization: 'org-key', project: 'proj_key' }), {
    organization: ['org-key'],
    project: ['proj_key'],
  })
})

test('no answer of any GET route has a key in it', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  pretendDomain(soakp.app)
  const { id, token, tokenId } = await soakp.saveKey({ organization: 'org-CANARY', project: 'proj_CANARY' })
  await soakp.manage('POST', `/soakp/keys/${id}/check`)
  const { paths } = (await soakp.call('GET', '/soakp/openapi.json')).body
  const gets = Object.keys(paths).filter((path) => paths[path].get !== undefined)
  t.ok(gets.length >= 8, gets.join(' '))
  for (const path of gets) {
    const url = path.replace('{id}', path.includes('tokens') ? tokenId : id)
    const headers = bearer(path === '/soakp/me' ? token : ADMIN)
    const { status, body } = await soakp.call('GET', url, { headers })
    t.equal(status, 200, url)
    t.notMatch(JSON.stringify(body), soakp.upstream.key, url)
    t.notMatch(JSON.stringify(body), 'CANARY', url)
    t.notMatch(JSON.stringify(body), token, url)
  }
  const mistyped = await soakp.manage('GET', `/soakp/keys/${soakp.upstream.key}`)
  isRefused(t, mistyped, { status: 404, code: 'SOAKP_KEY_NOT_FOUND' })
  t.notMatch(JSON.stringify(mistyped.body), soakp.upstream.key, 'not even where it was given as an id')
})
