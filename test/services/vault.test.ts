import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { createAdmin } from '../../services/admin.ts'
import { createCipher } from '../../services/cipher.ts'
import { createKeyRing } from '../../services/key-ring.ts'
import { createOwnSecrets } from '../../services/own-secrets.ts'
import { Secret } from '../../services/secret.ts'
import { openStore } from '../../services/stores/index.ts'
import { createVault } from '../../services/vault.ts'

const KEY = 'sk-proj-canary-f3a1'
const OTHER_KEY = 'sk-svcacct-canary-77aa'
const UPSTREAM = 'https://api.openai.com/v1'

async function setUp(t: Test) {
  const keyRing = createKeyRing(randomBytes(32), 'instance')
  const store = await openStore('sqlite', { file: join(t.testdir(), 'soakp.db'), key: keyRing.databaseKey() })
  t.teardown(() => store.close())
  const cipher = createCipher(keyRing, 'instance')
  const clock = { time: 1_000 }
  const options = { store, cipher, upstream: UPSTREAM, privateUpstreams: ['http://10.0.0.5:8080'] }
  const secrets = createOwnSecrets(store, cipher)
  const restartedSecrets = () => createOwnSecrets(store, createCipher(keyRing, 'instance'))
  return { store, cipher, clock, secrets, restartedSecrets, vault: createVault({ ...options, now: () => clock.time }) }
}

test('a saved key is shown without the key and opened with it', async (t) => {
  const { vault, store, clock } = await setUp(t)
  const saved = await vault.save({ key: KEY, name: 'production', organization: 'org-1', project: 'proj_1' })
  t.match(saved, { name: 'production', base_url: UPSTREAM, version: 1, created_at: 1_000, updated_at: 1_000 })
  t.match(saved.id, /^key_[\w-]{22}$/)
  clock.time = 2_000
  const renamed = await vault.rename(saved.id, 'staging')
  const unnamed = await vault.save({ key: OTHER_KEY })
  t.equal(unnamed.name, unnamed.id, 'a key without a name is called by its id')
  t.same(renamed, { ...saved, name: 'staging', updated_at: 2_000 })
  const { items } = await vault.list({ limit: 10 })
  t.same(items, [unnamed, renamed])
  const stored = (await store.listKeys({ limit: 10 })).items
  t.notMatch(JSON.stringify([saved, renamed, items, stored]), 'canary')
  const opened = await vault.openById(saved.id)
  t.equal(opened.key.reveal(), KEY)
  t.match(opened, { organization: 'org-1', project: 'proj_1', base_url: UPSTREAM })
  t.notMatch(JSON.stringify(opened), 'canary')
})

test('a replaced key keeps its name, upstream, organization and project, and the old envelope no longer opens', async (t) => {
  const { vault, store, clock } = await setUp(t)
  const base_url = 'https://eu.example.com/openai/v1'
  const { id } = await vault.save({ key: KEY, name: 'n', organization: 'org-1', project: 'proj_1', base_url })
  const before = await store.findKey(id)
  if (before === undefined) throw new Error('not stored')
  t.equal(vault.open(before).key.reveal(), KEY)
  clock.time = 3_000
  const replaced = await vault.replace(id, OTHER_KEY)
  t.match(replaced, { id, name: 'n', base_url, version: 2, created_at: 1_000, updated_at: 3_000 })
  const opened = await vault.openById(id)
  t.equal(opened.key.reveal(), OTHER_KEY)
  t.match(opened, { organization: 'org-1', project: 'proj_1' })
  t.throws(() => vault.open({ ...before, version: 2 }), { code: 'SOAKP_ENVELOPE_REFUSED' })
})

test('a row whose envelope or upstream was changed does not give its key away', async (t) => {
  const { vault, store } = await setUp(t)
  const [first, second] = [await vault.save({ key: KEY }), await vault.save({ key: OTHER_KEY })]
  const [rowA, rowB] = [await store.findKey(first.id), await store.findKey(second.id)]
  if (rowA === undefined || rowB === undefined) throw new Error('not stored')
  t.throws(() => vault.open({ ...rowA, envelope: rowB.envelope }), { code: 'SOAKP_ENVELOPE_REFUSED' })
  t.throws(() => vault.open({ ...rowA, base_url: 'https://evil.example/v1' }), { code: 'SOAKP_ENVELOPE_REFUSED' })
  t.equal(vault.open(rowA).key.reveal(), KEY)
})

test('of two replacements at once one wins and the other is told to try again', async (t) => {
  const { vault } = await setUp(t)
  const { id } = await vault.save({ key: KEY })
  const candidates = [`${KEY}-1`, `${KEY}-2`]
  const results = await Promise.allSettled(candidates.map((key) => vault.replace(id, key)))
  t.same(results.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  const won = candidates[results.findIndex(({ status }) => status === 'fulfilled')]
  t.equal((await vault.openById(id)).key.reveal(), won)
  const lost = results.find((result) => result.status === 'rejected')
  t.match(lost?.reason, { statusCode: 409, code: 'SOAKP_KEY_CHANGED', message: /Try again/ })
})

test('a deleted key is gone, and everything about an unknown key is a 404 that names it', async (t) => {
  const { vault } = await setUp(t)
  const { id } = await vault.save({ key: KEY })
  await vault.remove(id)
  const notFound = { statusCode: 404, code: 'SOAKP_KEY_NOT_FOUND', message: new RegExp(id) }
  await t.rejects(vault.find(id), notFound)
  await t.rejects(vault.rename(id, 'n'), notFound)
  await t.rejects(vault.replace(id, OTHER_KEY), notFound)
  await t.rejects(vault.openById(id), notFound)
  await t.rejects(vault.remove(id), notFound)
})

test('every form of key is taken, and what no header can carry is refused', async (t) => {
  const { vault } = await setUp(t)
  for (const key of ['sk-abcde', 'sk-proj-A_b-9', 'sk-svcacct-x.y', 'sess-12345678', 'a'.repeat(4_096), '!"#$%&~{|}']) {
    const { id } = await vault.save({ key })
    t.equal((await vault.openById(id)).key.reveal(), key)
  }
  const refused = [
    '',
    'sk-abc',
    'sk-abc def',
    'sk-abcdef\n',
    '\tsk-abcdef',
    'sk-abcdef\r\nX: y',
    'sk-äbcdefg',
    'sk-abc\0def',
  ]
  for (const key of [...refused, 'a'.repeat(4_097), 'sk-abcdef ', 'sk–abcdef']) {
    await t.rejects(
      vault.save({ key }),
      { statusCode: 400, code: 'SOAKP_KEY_INVALID', param: 'key' },
      JSON.stringify(key.slice(0, 20)),
    )
  }
  const { id } = await vault.save({ key: KEY })
  await t.rejects(vault.replace(id, 'short'), { code: 'SOAKP_KEY_INVALID' })
  t.equal((await vault.find(id)).version, 1)
})

test('a key is bound to an upstream that it may name', async (t) => {
  const { vault } = await setUp(t)
  const save = (base_url: string) => vault.save({ key: KEY, base_url })
  t.equal((await save('https://Eu.Example.com/')).base_url, 'https://eu.example.com/v1')
  t.equal((await save('http://10.0.0.5:8080/llm/')).base_url, 'http://10.0.0.5:8080/llm')
  const invalid = { statusCode: 400, code: 'SOAKP_BASE_URL_INVALID', param: 'base_url' }
  for (const base_url of ['http://api.example.com', 'https://169.254.169.254', 'https://10.0.0.5', 'nonsense']) {
    await t.rejects(save(base_url), invalid, base_url)
  }
  t.equal((await vault.list({ limit: 10 })).items.length, 2, 'nothing was saved of what was refused')
})

test("SOAKP's own secrets are made once, however many race, and replaced as a whole", async (t) => {
  const { secrets, restartedSecrets, store } = await setUp(t)
  t.equal(await secrets.find('signing'), undefined)
  const racers = [secrets, restartedSecrets(), restartedSecrets()]
  const results = await Promise.all(racers.map((each, index) => each.findOrMake('signing', async () => ({ index }))))
  t.equal(results.filter(({ isNew }) => isNew).length, 1)
  const [winner] = results.filter(({ isNew }) => isNew)
  for (const { value } of results) t.same(value, winner?.value)
  t.same(await restartedSecrets().find('signing'), winner?.value)
  await secrets.replace('signing', { index: 9 })
  t.same(await secrets.find('signing'), { index: 9 })
  t.same(await restartedSecrets().find('signing'), { index: 9 })
  t.match(await store.findSecret('signing'), { version: 2 })
  await secrets.replace('fresh', { index: 1 })
  t.same(await secrets.find('fresh'), { index: 1 })
  await secrets.remove('fresh')
  await secrets.remove('never there')
  t.equal(await secrets.find('fresh'), undefined, 'also for who has just opened it')
  t.same(await secrets.find('signing'), { index: 9 })
})

test('a secret put in the place of another is refused', async (t) => {
  const { secrets, restartedSecrets, store } = await setUp(t)
  await secrets.findOrMake('a', async () => ({ of: 'a' }))
  await secrets.findOrMake('b', async () => ({ of: 'b' }))
  const [a, b] = [await store.findSecret('a'), await store.findSecret('b')]
  if (a === undefined || b === undefined) throw new Error('not stored')
  await store.putSecret({ ...a, envelope: b.envelope })
  await t.rejects(secrets.find('a'), { code: 'SOAKP_ENVELOPE_REFUSED' })
  await t.rejects(restartedSecrets().find('a'), { code: 'SOAKP_ENVELOPE_REFUSED' })
  await t.rejects(
    secrets.findOrMake('a', async () => ({ of: 'new' })),
    { code: 'SOAKP_ENVELOPE_REFUSED' },
  )
})

test('the admin credential is made once, known by its hash alone, and ended by a reset', async (t) => {
  const { secrets, restartedSecrets } = await setUp(t)
  const admin = createAdmin(secrets, 'admin', undefined)
  t.equal(await admin.isCredential(''), false, 'before there is one, nothing is it')
  const credential = (await admin.prepare())?.reveal() ?? ''
  t.match(credential, /^soakp_admin_[\w-]{43}$/)
  t.equal(await admin.prepare(), undefined)
  const restarted = createAdmin(restartedSecrets(), 'admin', undefined)
  t.equal(await restarted.prepare(), undefined, 'a later start makes none')
  t.equal(await restarted.isCredential(credential), true)
  for (const wrong of ['', 'x', `${credential} `, credential.slice(0, -1), credential.toUpperCase()]) {
    t.equal(await restarted.isCredential(wrong), false)
  }
  t.notMatch(JSON.stringify(await secrets.find('admin-credential')), credential)
  const second = (await restarted.reset()).reveal()
  t.equal(await admin.isCredential(credential), false, 'the old one is ended, in a running process too')
  t.equal(await admin.isCredential(second), true)
})

test('an admin credential that the operator chose is the only one and is not reset here', async (t) => {
  const { secrets } = await setUp(t)
  const made = (await createAdmin(secrets, 'admin', undefined).prepare())?.reveal() ?? ''
  const admin = createAdmin(secrets, 'admin', new Secret('chosen-by-the-operator'))
  t.equal(await admin.prepare(), undefined)
  t.equal(await admin.isCredential('chosen-by-the-operator'), true)
  t.equal(await admin.isCredential(made), false)
  await t.rejects(admin.reset(), { statusCode: 409, code: 'SOAKP_ADMIN_CONFIGURED', message: /SOAKP_ADMIN_TOKEN/ })
})

test("the admin's name is compared without regard to Unicode form, case and outer spaces", async (t) => {
  const { secrets } = await setUp(t)
  const admin = createAdmin(secrets, 'Zo\u00eb', undefined)
  for (const name of ['Zo\u00eb', 'zo\u00eb', 'ZOE\u0308', ' zoe\u0308 ']) t.equal(admin.isUser(name), true, name)
  for (const name of ['', 'zoe', 'zoë2', 'z oë']) t.equal(admin.isUser(name), false, name)
})
