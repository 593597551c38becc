import { randomBytes } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { openStore } from '../../services/stores/index.ts'
import type { KeyRecord, NewTokenRecord, StoreName, StoreOptions } from '../../services/stores/index.ts'

/** Makes what each store needs to open a fresh one. */
const factories: Record<StoreName, (t: Test) => StoreOptions> = {
  sqlite: (t) => ({ file: join(t.testdir(), 'soakp.db'), key: randomBytes(48).toString('hex') }),
}

const keyDefaults = { base_url: 'https://api.openai.com/v1', version: 1, created_at: 10, updated_at: 10 }
const keyOf = (id: string, more: Partial<KeyRecord> = {}): KeyRecord => ({
  id,
  name: `name of ${id}`,
  envelope: `envelope of ${id}`,
  ...keyDefaults,
  ...more,
})
const tokenDefaults = { subject: null, name: null, created_at: 10, expires_at: 100, revoked_at: null }
const tokenOf = (id: string, more: Partial<NewTokenRecord> = {}): NewTokenRecord => ({
  id,
  key_id: 'key_1',
  policy: `{"of":"${id}"}`,
  ...tokenDefaults,
  ...more,
})
const notRotated = { generation: 1, previous_until: null }

for (const name of Object.keys(factories) as StoreName[]) {
  const openFresh = async (t: Test) => {
    const options = factories[name](t)
    const store = await openStore(name, options)
    const opened = [store]
    t.teardown(() => Promise.all(opened.map((each) => each.close())))
    const reopen = async () => {
      await Promise.all(opened.splice(0).map((each) => each.close()))
      const again = await openStore(name, options)
      opened.push(again)
      return again
    }
    const openSecond = async () => {
      const second = await openStore(name, options)
      opened.push(second)
      return second
    }
    return { store, reopen, openSecond }
  }

  test(`${name}: what is not there is undefined`, async (t) => {
    const { store } = await openFresh(t)
    t.equal(await store.findKey('key_1'), undefined)
    t.equal(await store.renameKey('key_1', 'n', 1), undefined)
    t.equal(await store.replaceKey(keyOf('key_1', { version: 2 })), undefined)
    t.equal(await store.deleteKey('key_1', 1), false)
    t.equal(await store.findToken('tok_1'), undefined)
    t.equal(await store.revokeToken('tok_1', 1), undefined)
    t.equal(await store.rotateToken('tok_1', { previousUntil: 9 }, 1), undefined)
    t.equal(store.findGrant('tok_1', 1), undefined)
    t.equal(await store.findSecret('s'), undefined)
    t.equal(store.readRequests('tok_1', 1), 0)
    t.equal(store.isOriginNamed('https://a.example', 1), false)
    t.same(await store.listKeys({ limit: 5 }), { items: [], hasMore: false })
    t.same(await store.listTokens({ limit: 5, keyId: 'key_1' }), { items: [], hasMore: false })
    t.doesNotThrow(() => store.ping())
  })

  test(`${name}: lists come newest first and page by page, though times are equal`, async (t) => {
    const { store } = await openFresh(t)
    const ids = Array.from({ length: 7 }, (_, index) => `key_${index}`)
    for (const id of ids) await store.insertKey(keyOf(id))
    for (const id of ids) await store.insertToken(tokenOf(`tok_${id}`, { key_id: `key_${Number(id.at(-1)) % 2}` }), [])
    const newest = ids.toReversed()
    const read = async (limit: number, after?: string) => {
      const { items, hasMore } = await store.listKeys({ limit, after })
      return [items.map(({ id }) => id), hasMore]
    }
    t.same(await read(3), [newest.slice(0, 3), true])
    t.same(await read(3, newest[2]), [newest.slice(3, 6), true])
    t.same(await read(3, newest[5]), [newest.slice(6), false])
    t.same(await read(4, newest[2]), [newest.slice(3), false], 'a page that is just full is the last')
    t.same(await read(7), [newest, false])
    t.same(await read(3, newest[6]), [[], false])
    t.same(await read(3, 'key_unknown'), [[], false])
    t.same(await read(3, "' or 1=1 --"), [[], false])
    await store.deleteKey('key_6', 50)
    await store.insertKey(keyOf('key_7'))
    t.same(await read(2), [['key_7', 'key_5'], true], 'also after the newest was deleted')
    const tokens = await store.listTokens({ limit: 2, keyId: 'key_1' })
    t.same([tokens.items.map(({ id }) => id), tokens.hasMore], [['tok_key_5', 'tok_key_3'], true])
    const rest = await store.listTokens({ limit: 2, keyId: 'key_1', after: 'tok_key_3' })
    t.same([rest.items, rest.hasMore], [[{ ...tokenOf('tok_key_1', { key_id: 'key_1' }), ...notRotated }], false])
    t.equal((await store.listTokens({ limit: 100 })).items.length, 7)
  })

  test(`${name}: a key is found as it was inserted, renamed, and inserted once`, async (t) => {
    const { store } = await openFresh(t)
    const odd = keyOf('key_1', { name: `quote ' " \\ ; -- \u{1f511} \0 é`, envelope: 'e'.repeat(20_000) })
    await store.insertKey(odd)
    t.same(await store.findKey('key_1'), odd)
    await t.rejects(store.insertKey(keyOf('key_1')), 'an id is taken once')
    t.same(await store.findKey('key_1'), odd)
    t.same(await store.renameKey('key_1', 'new', 20), { ...odd, name: 'new', updated_at: 20 })
    t.same(await store.findKey('key_1'), { ...odd, name: 'new', updated_at: 20 })
  })

  test(`${name}: of two replacements of one version the first holds`, async (t) => {
    const { store, openSecond } = await openFresh(t)
    await store.insertKey(keyOf('key_1'))
    const second = await openSecond()
    const [a, b] = await Promise.all([
      store.replaceKey(keyOf('key_1', { version: 2, envelope: 'first', updated_at: 20, name: 'not this' })),
      second.replaceKey(keyOf('key_1', { version: 2, envelope: 'second', updated_at: 21, base_url: 'https://evil' })),
    ])
    t.equal([a, b].filter(Boolean).length, 1)
    const stored = await store.findKey('key_1')
    t.same(stored, a ?? b)
    t.match(stored, { name: 'name of key_1', base_url: 'https://api.openai.com/v1', version: 2, created_at: 10 })
    for (const version of [1, 2, 4]) t.equal(await store.replaceKey(keyOf('key_1', { version })), undefined)
    t.match(await store.replaceKey(keyOf('key_1', { version: 3, envelope: 'third' })), {
      envelope: 'third',
      version: 3,
    })
  })

  test(`${name}: deleting a key revokes its tokens in the same step, and no others`, async (t) => {
    const { store, openSecond } = await openFresh(t)
    for (const id of ['key_1', 'key_2']) await store.insertKey(keyOf(id))
    await store.insertToken(tokenOf('tok_1'), ['https://a.example'])
    await store.insertToken(tokenOf('tok_old'), [])
    await store.insertToken(tokenOf('tok_2', { key_id: 'key_2' }), [])
    await store.revokeToken('tok_old', 15)
    t.equal(await store.deleteKey('key_1', 20), true)
    const second = await openSecond()
    t.match(await second.findToken('tok_1'), { revoked_at: 20 })
    t.match(await second.findToken('tok_old'), { revoked_at: 15 }, 'one already revoked keeps its time')
    t.match(await second.findToken('tok_2'), { revoked_at: null })
    t.equal(second.findGrant('tok_1', 30), undefined)
    t.equal(second.isOriginNamed('https://a.example', 30), false)
    t.ok(second.findGrant('tok_2', 30))
    await store.insertKey(keyOf('key_1', { envelope: 'another' }))
    t.equal(store.findGrant('tok_1', 30), undefined, 'a key of the same id does not revive them')
    t.equal(await store.deleteKey('key_9', 20), false)
  })

  test(`${name}: a grant is what a live token's request needs, and is gone at once for every process`, async (t) => {
    const { store, openSecond } = await openFresh(t)
    const second = await openSecond()
    await store.insertKey(keyOf('key_1'))
    await store.insertToken(tokenOf('tok_1'), ['https://a.example', 'https://b.example'])
    await store.insertToken(tokenOf('tok_2', { expires_at: 200 }), ['https://a.example'])
    await store.insertToken(tokenOf('tok_3', { key_id: 'key_of_nobody' }), [])
    const { base_url, version, envelope } = keyOf('key_1')
    const ofKey = { key_id: 'key_1', base_url, version, envelope }
    const grant = { token_id: 'tok_1', policy: '{"of":"tok_1"}', ...notRotated, ...ofKey }
    for (const each of [store, second]) {
      t.same(each.findGrant('tok_1', 99), grant, 'in its last second')
      t.equal(each.findGrant('tok_1', 100), undefined, 'not when it expires')
      t.equal(each.findGrant('tok_3', 20), undefined, 'not without its key')
      t.equal(each.findGrant("tok_1' or '1'='1", 20), undefined)
    }
    await store.replaceKey(keyOf('key_1', { version: 2, envelope: 'second' }))
    t.match(second.findGrant('tok_1', 20), { version: 2, envelope: 'second' }, 'a replaced key at once')
    t.equal(second.isOriginNamed('https://b.example', 20), true)
    t.match(await store.revokeToken('tok_1', 30), { id: 'tok_1', revoked_at: 30 })
    t.equal(second.findGrant('tok_1', 31), undefined, 'the very next read of another process')
    t.equal(second.findGrant('tok_1', 20), undefined, 'even if its clock is behind')
    t.match(await second.revokeToken('tok_1', 40), { revoked_at: 30 }, 'revoked twice, the first time stays')
    t.equal(second.isOriginNamed('https://b.example', 20), false, 'nobody live names it')
    t.equal(second.isOriginNamed('https://a.example', 20), true, 'another live token does')
    t.equal(second.isOriginNamed('https://a.example', 200), false, 'until it expires')
    for (const origin of ['https://A.example', 'https://a.example/', 'https://%.example', '']) {
      t.equal(store.isOriginNamed(origin, 20), false, `"${origin}" is another`)
    }
    await t.rejects(store.insertToken(tokenOf('tok_1'), []), 'an id is taken once, even when revoked')
    await t.rejects(store.insertToken(tokenOf('tok_9'), ['https://c.example', 'https://c.example']))
    t.equal(await store.findToken('tok_9'), undefined, 'a token is stored with all its origins or not at all')
  })

  test(`${name}: tokens that expired before a time are forgotten with all that belongs to them, and no others`, async (t) => {
    const { store } = await openFresh(t)
    await store.insertToken(tokenOf('tok_old', { expires_at: 100 }), ['https://a.example'])
    await store.insertToken(tokenOf('tok_new', { expires_at: 101 }), ['https://a.example'])
    await store.addRequests(1, new Map([['tok_old', 3]]))
    await store.pruneTokens(101)
    t.equal(await store.findToken('tok_old'), undefined)
    t.equal(store.readRequests('tok_old', 1), 0)
    t.match(await store.findToken('tok_new'), { id: 'tok_new' })
    t.equal(store.isOriginNamed('https://a.example', 100), true)
  })

  test(`${name}: a rotation that moves a token's end moves that of its origins`, async (t) => {
    const { store } = await openFresh(t)
    await store.insertToken(tokenOf('tok_1', { expires_at: 100 }), ['https://a.example'])
    t.equal(store.isOriginNamed('https://a.example', 150), false)
    await store.rotateToken('tok_1', { previousUntil: 60, expiresAt: 200 }, 50)
    t.equal(store.isOriginNamed('https://a.example', 150), true)
    await store.revokeToken('tok_1', 160)
    t.equal(store.isOriginNamed('https://a.example', 150), false)
  })

  test(`${name}: a rotation is the next generation of a live token, at once for every process, and of no other`, async (t) => {
    const { store, openSecond } = await openFresh(t)
    const second = await openSecond()
    await store.insertKey(keyOf('key_1'))
    for (const id of ['tok_1', 'tok_2', 'tok_ended']) await store.insertToken(tokenOf(id), [])
    await store.revokeToken('tok_ended', 15)
    const second1 = { ...tokenOf('tok_1'), generation: 2, previous_until: 50 }
    t.same(await store.rotateToken('tok_1', { previousUntil: 50 }, 20), second1)
    t.match(second.findGrant('tok_1', 20), { generation: 2, previous_until: 50 })
    t.match(await second.rotateToken('tok_1', { previousUntil: 900, expiresAt: 800 }, 30), {
      generation: 3,
      previous_until: 100,
      expires_at: 800,
    })
    t.match(store.findGrant('tok_1', 799), { generation: 3, previous_until: 100 }, 'not past the end from before')
    t.equal(await store.rotateToken('tok_1', { previousUntil: 900 }, 800), undefined, 'not once it has expired')
    t.equal(await store.rotateToken('tok_ended', { previousUntil: 50, expiresAt: 500 }, 20), undefined)
    t.same(await store.findToken('tok_ended'), { ...tokenOf('tok_ended', { revoked_at: 15 }), ...notRotated })
    t.same(await store.findToken('tok_2'), { ...tokenOf('tok_2'), ...notRotated })
    const rotate = (by: typeof store) => by.rotateToken('tok_2', { previousUntil: 60 }, 20)
    const both = await Promise.all([store, store].map(rotate))
    t.same(new Set(both.map((each) => each?.generation)), new Set([2, 3]), 'two at the same moment are two')
  })

  test(`${name}: requests add up by token and day, and unknown tokens are passed over`, async (t) => {
    const { store, openSecond } = await openFresh(t)
    for (const id of ['tok_1', 'tok_2']) await store.insertToken(tokenOf(id), [])
    await store.addRequests(
      7,
      new Map([
        ['tok_1', 2],
        ['tok_unknown', 5],
        ['tok_2', 1],
      ]),
    )
    await store.addRequests(7, new Map([['tok_1', 3]]))
    await store.addRequests(8, new Map([['tok_1', 10]]))
    await store.addRequests(8, new Map())
    t.same([store.readRequests('tok_1', 7), store.readRequests('tok_1', 8), store.readRequests('tok_2', 7)], [5, 10, 1])
    t.same([store.readRequests('tok_unknown', 7), store.readRequests('tok_1', 9)], [0, 0])
    const second = await openSecond()
    await Promise.all([1, 1, 1].map((count) => store.addRequests(9, new Map([['tok_1', count]]))))
    await second.addRequests(9, new Map([['tok_1', 1]]))
    t.equal(store.readRequests('tok_1', 9), 4)
  })

  test(`${name}: of two inserts of one secret both return the same, and a put takes its place`, async (t) => {
    const { store, openSecond } = await openFresh(t)
    const second = await openSecond()
    const [a, b] = await Promise.all([
      store.insertSecret({ id: 's', version: 1, envelope: 'a' }),
      second.insertSecret({ id: 's', version: 1, envelope: 'b' }),
    ])
    t.same(a, b)
    t.same(await store.findSecret('s'), a)
    await second.putSecret({ id: 's', version: 2, envelope: 'c' })
    t.same(await store.insertSecret({ id: 's', version: 1, envelope: 'd' }), { id: 's', version: 2, envelope: 'c' })
    await store.putSecret({ id: 'new', version: 1, envelope: 'e' })
    t.same(await second.findSecret('new'), { id: 'new', version: 1, envelope: 'e' })
  })

  test(`${name}: a deleted secret is gone for every process, and no other is`, async (t) => {
    const { store, openSecond } = await openFresh(t)
    const second = await openSecond()
    for (const id of ['a', 'b']) await store.putSecret({ id, version: 1, envelope: id })
    await store.deleteSecret('a')
    t.equal(await second.findSecret('a'), undefined)
    t.match(await second.findSecret('b'), { envelope: 'b' })
    await second.deleteSecret('a')
    t.same(await store.insertSecret({ id: 'a', version: 1, envelope: 'c' }), { id: 'a', version: 1, envelope: 'c' })
  })

  test(`${name}: what was acknowledged is there after reopening, also when nobody closed it`, async (t) => {
    const { store, openSecond, reopen } = await openFresh(t)
    await store.insertKey(keyOf('key_1'))
    await store.insertToken(tokenOf('tok_1'), ['https://a.example'])
    await store.rotateToken('tok_1', { previousUntil: 50 }, 15)
    await store.revokeToken('tok_1', 20)
    await store.addRequests(7, new Map([['tok_1', 2]]))
    await store.putSecret({ id: 's', version: 1, envelope: 'a' })
    for (const open of [openSecond, reopen]) {
      const again = await open()
      t.same(await again.findKey('key_1'), keyOf('key_1'))
      const rotated = { generation: 2, previous_until: 50 }
      t.same(await again.findToken('tok_1'), { ...tokenOf('tok_1', { revoked_at: 20 }), ...rotated })
      t.equal(again.readRequests('tok_1', 7), 2)
      t.match(await again.findSecret('s'), { envelope: 'a' })
    }
  })
}

test('every provider folder has a file for each name in its index, and a name for each file', async (t) => {
  const services = new URL('../../services/', import.meta.url)
  for (const folder of ['stores', 'unseal']) {
    const index = await readFile(new URL(`${folder}/index.ts`, services), 'utf8')
    const lines = [...index.matchAll(/^ {2}'?([\w-]+)'?: \(\) => import\('\.\/([\w-]+)\.ts'\),$/gm)]
    const names = lines.map(([, name]) => name)
    t.ok(names.length > 0, `${folder} lists providers`)
    t.same(
      names,
      lines.map(([, , file]) => file),
      `${folder}: the name in the configuration is the file's`,
    )
    const files = (await readdir(new URL(folder, services))).map((file) => file.replace(/\.ts$/, ''))
    // `sqlite-keys.ts` is a part of `sqlite.ts`.
    const isPart = (file: string) => names.some((name) => file.startsWith(`${name}-`))
    t.same(new Set(files.filter((file) => file !== 'index' && !isPart(file))), new Set(names))
  }
})
