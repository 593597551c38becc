import { test } from 'tap'
import { PLAIN, bearer, isRefused } from '../support/refusals.ts'
import { startSoakp } from '../support/soakp.ts'

test('a key is renamed and shown under its new name', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  t.equal((await soakp.manage('GET', `/soakp/keys/${id}`)).body.name, id, 'without a name it is called by its id')
  const renamed = await soakp.manage('PATCH', `/soakp/keys/${id}`, { name: 'Küche & Keller' })
  t.match(renamed, { status: 200, body: { object: 'key', id, name: 'Küche & Keller', version: 1 } })
  t.strictSame((await soakp.manage('GET', `/soakp/keys/${id}`)).body, renamed.body)
  for (const body of [{}, { name: '' }, { name: 5 }]) {
    const expected = { status: 400, code: 'SOAKP_REQUEST_INVALID', param: 'name' }
    isRefused(t, await soakp.manage('PATCH', `/soakp/keys/${id}`, body), expected)
  }
  const others = await soakp.manage('PATCH', `/soakp/keys/${id}`, { name: 'x', base_url: 'https://evil.example' })
  isRefused(t, others, { status: 400, code: 'SOAKP_REQUEST_INVALID', param: 'base_url' }, 'the upstream stays')
})

test('a check says what the upstream answered', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { upstream } = soakp
  const { id } = await soakp.saveKey({ organization: 'org-1' })
  const check = async () => (await soakp.manage('POST', `/soakp/keys/${id}/check`)).body
  const works = await check()
  t.match(works, { object: 'key.check', id, works: true, status: 200, message: /takes the key/ })
  t.type(works.checked_at, 'number')
  t.match(upstream.requests, [{ method: 'GET', url: '/v1/models' }])
  t.ok(upstream.requests[0]?.rawHeaders.includes('org-1'), 'with the organization of the key')

  upstream.keys.delete(upstream.key)
  t.match(await check(), { works: false, status: 401, message: /Replace it/ })
  for (const [status, message] of [
    [403, /restricted keys/],
    [429, /quota or rate limit/],
    [500, /neither yes nor no/],
    [302, /neither yes nor no/],
  ] as const) {
    const restore = upstream.handle('GET', '/v1/models', (_request, response) => {
      response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end(`${upstream.key} refused`)
    })
    const answer = await check()
    t.match(answer, { works: false, status, message })
    t.notMatch(JSON.stringify(answer), upstream.key)
    restore()
  }
  await upstream.close()
  t.match(await check(), { works: false, status: null, message: /could not be asked.*cannot be reached/ })
})

test('a replaced key is used from the next call on, by the same tokens', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id, token } = await soakp.saveKey({ organization: 'org-1', project: 'proj_1' })
  const before = await soakp.call('GET', '/v1/models', { headers: bearer(token) })
  soakp.upstream.keys.delete(soakp.upstream.key)
  soakp.upstream.keys.add('sk-practice-the-next-one')
  const refused = await soakp.call('GET', '/v1/models', { headers: bearer(token) })
  const replaced = await soakp.manage('PUT', `/soakp/keys/${id}/value`, { key: 'sk-practice-the-next-one' })
  const after = await soakp.call('GET', '/v1/models', { headers: bearer(token) })
  t.strictSame([before.status, refused.status, after.status], [200, 502, 200])
  t.match(replaced, { status: 200, body: { object: 'key', id, version: 2 } })
  t.notMatch(JSON.stringify(replaced.body), 'the-next-one')
  const { rawHeaders } = soakp.upstream.requests.at(-1) ?? {}
  t.match(rawHeaders?.join(), /org-1.*proj_1/, 'organization and project stay')
})

test('of two replacements at once one wins and the other hears of it', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const { store } = soakp.app.unsealed
  const replaceKey = store.replaceKey.bind(store)
  store.replaceKey = async (record) => {
    store.replaceKey = replaceKey
    // The other one comes between reading and writing.
    const first = await soakp.manage('PUT', `/soakp/keys/${id}/value`, { key: 'sk-the-first' })
    t.match(first, { status: 200, body: { version: 2 } })
    return replaceKey(record)
  }
  const second = await soakp.manage('PUT', `/soakp/keys/${id}/value`, { key: 'sk-the-second' })
  isRefused(t, second, { status: 409, code: 'SOAKP_KEY_CHANGED' })
  t.equal((await soakp.manage('GET', `/soakp/keys/${id}`)).body.version, 2)
})

test('a deleted key is gone, and its tokens are refused at once', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id, token, tokenId } = await soakp.saveKey()
  const other = await soakp.saveKey()
  t.equal((await soakp.call('GET', '/v1/models', { headers: bearer(token) })).status, 200)
  const { status, body } = await soakp.manage('DELETE', `/soakp/keys/${id}`)
  t.strictSame({ status, body }, { status: 200, body: { id, object: 'key', deleted: true } })
  soakp.upstream.clear()
  for (const path of ['/v1/models', '/openai/models', '/soakp/me']) {
    const answer = await soakp.call('GET', path, { headers: bearer(token) })
    isRefused(t, answer, { status: 401, code: 'SOAKP_TOKEN_REFUSED' }, path)
  }
  t.equal(soakp.upstream.requests.length, 0, 'the upstream heard nothing')
  t.type((await soakp.manage('GET', `/soakp/tokens/${tokenId}`)).body.revoked_at, 'number')
  t.equal((await soakp.call('GET', '/v1/models', { headers: bearer(other.token) })).status, 200, 'others go on')
  for (const [method, path, sent] of [
    ['GET', '', undefined],
    ['DELETE', '', undefined],
    ['PATCH', '', { name: 'x' }],
    ['PUT', '/value', { key: 'sk-01234567' }],
    ['POST', '/check', undefined],
  ] as const) {
    const answer = await soakp.manage(method, `/soakp/keys/${id}${path}`, sent)
    isRefused(t, answer, { status: 404, code: 'SOAKP_KEY_NOT_FOUND' }, `${method} ${path}`)
  }
  const minted = await soakp.manage('POST', '/soakp/tokens', { key_id: id })
  isRefused(t, minted, { status: 404, code: 'SOAKP_KEY_NOT_FOUND', param: 'key_id' })
})

test('keys are listed newest first, page by page', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  t.strictSame((await soakp.manage('GET', '/soakp/keys')).body, { object: 'list', data: [], has_more: false })
  const ids: string[] = []
  for (let count = 0; count < 21; count += 1) ids.unshift((await soakp.saveKey()).id)
  const page = async (query: string) => {
    const { body } = await soakp.manage('GET', `/soakp/keys${query}`)
    return { object: body.object, ids: body.data.map((key: { id: string }) => key.id), has_more: body.has_more }
  }
  const list = (from: number, to: number, has_more: boolean) => ({ object: 'list', ids: ids.slice(from, to), has_more })
  t.strictSame(await page(''), list(0, 20, true), '20 unless asked')
  t.strictSame(await page('?limit=2'), list(0, 2, true))
  t.strictSame(await page(`?limit=2&after=${ids[1]}`), list(2, 4, true))
  t.strictSame(await page(`?after=${ids[18]}`), list(19, 21, false))
  t.strictSame(await page(`?limit=100`), list(0, 21, false))
  t.strictSame(await page(`?after=${ids[20]}`), list(21, 21, false))
  for (const [query, param] of [
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=', 'limit'],
    ['limit=all', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['order=asc', 'order'],
    [`after=${'x'.repeat(101)}`, 'after'],
  ] as const) {
    const expected = { status: 400, code: 'SOAKP_REQUEST_INVALID', param }
    isRefused(t, await soakp.manage('GET', `/soakp/keys?${query}`), expected, query)
  }
  const unknown = await soakp.manage('GET', '/soakp/keys?after=key_unknown')
  isRefused(t, unknown, { status: 404, code: 'SOAKP_KEY_NOT_FOUND' }, 'a page after nothing is not the last page')
})
