import { inspect } from 'node:util'
import { test } from 'tap'
import type { Test } from 'tap'
import { createProvider } from '../../services/dns/cloudflare.ts'
import type { DnsVariableName } from '../../services/dns-variables.ts'
import { optionsOf } from '../support/dns-benches/bench.ts'
import { failureOf } from '../support/dns-contract/subject.ts'
import { cloudflareLimit, startCloudflare } from '../support/dns-fakes/cloudflare.ts'
import type { CloudflareOptions, FakeCloudflare } from '../support/dns-fakes/cloudflare.ts'
import { jsonAnswer } from '../support/dns-fakes/server.ts'
import { issue } from '../support/certificates.ts'

const signal = new AbortController().signal
const name = '_acme-challenge.ai.example.com'

async function start(t: Test, options: CloudflareOptions = { zones: ['example.com', 'example.org'] }) {
  const fake = await startCloudflare(t, options)
  return { fake, open: (variables: Variables) => openWith(t, fake, variables) }
}

type Variables = Readonly<Partial<Record<DnsVariableName, string>>>

function openWith(t: Test, fake: FakeCloudflare, variables: Variables) {
  const provider = createProvider(optionsOf(variables, fake.apiUrl))
  t.teardown(() => provider.close?.())
  return provider
}

test('a record carries a comment that says whose it is, quotes, and the least TTL', async (t) => {
  const { fake, open } = await start(t)
  const provider = open({ CF_DNS_API_TOKEN: fake.token })
  const zone = (await provider.findZone?.(name, signal)) ?? { name: '' }
  await provider.add({ zone, name, value: 'value' }, signal)
  t.match(fake.records(name), [{ content: '"value"', ttl: 120, comment: /SOAKP/, type: 'TXT' }])
})

test('a bare value of another program is the same value, and is not written twice', async (t) => {
  const { fake, open } = await start(t)
  const provider = open({ CF_DNS_API_TOKEN: fake.token })
  const zone = (await provider.findZone?.(name, signal)) ?? { name: '' }
  fake.write({ name, content: 'value', ttl: 3600 })
  fake.write({ name, content: 'other' })
  await provider.add({ zone, name, value: 'value' }, signal)
  t.equal(fake.records(name).length, 2)
  await provider.remove({ zone, name, value: 'value' }, signal)
  t.match(fake.records(name), [{ content: 'other' }])
})

test('a token of one zone, which may not list zones, needs the id of the zone and is told so', async (t) => {
  const { fake, open } = await start(t)
  const error = await failureOf(
    open({ CF_DNS_API_TOKEN: fake.scopedToken }).findZone?.(name, signal) ?? Promise.resolve(),
  )
  t.match(error, { kind: 'credentials', message: /needs CF_ZONE_ID/ })
  const pinned = open({ CF_DNS_API_TOKEN: fake.scopedToken, CF_ZONE_ID: `${fake.zones[0]?.id}` })
  t.same(await pinned.findZone?.(name, signal), { name: 'example.com', id: fake.zones[0]?.id })
  t.equal(await pinned.findZone?.('_acme-challenge.example.org', signal), undefined)
  t.throws(() => open({ CF_DNS_API_TOKEN: 'x', CF_ZONE_ID: '../zones' }), {
    kind: 'credentials',
    message: /CF_ZONE_ID/,
  })
})

test('zones are found with a token of their own, and records are written with the other', async (t) => {
  const { fake, open } = await start(t)
  const provider = open({ CF_DNS_API_TOKEN: fake.scopedToken, CF_ZONE_API_TOKEN: fake.zoneToken })
  const zone = (await provider.findZone?.(name, signal)) ?? { name: '' }
  await provider.add({ zone, name, value: 'value' }, signal)
  t.equal(fake.records(name).length, 1)
  const narrow = open({ CF_DNS_API_TOKEN: fake.zoneToken })
  const error = await failureOf(narrow.add({ zone, name, value: 'other' }, signal))
  t.match(error, { kind: 'credentials', message: /code 10000.*DNS:Edit/ })
})

test('the e-mail address and the global key do, too, and only together', async (t) => {
  const { fake, open } = await start(t)
  t.ok(await open({ CF_API_EMAIL: fake.email, CF_API_KEY: fake.key }).findZone?.(name, signal))
  const wrong = open({ CF_API_EMAIL: 'else@example.com', CF_API_KEY: fake.key }).findZone?.(name, signal)
  t.match(await failureOf(wrong ?? Promise.resolve()), { kind: 'credentials', message: /code 9103.*CF_API_EMAIL/ })
  t.throws(() => open({ CF_API_EMAIL: fake.email }), { kind: 'credentials', message: /CF_DNS_API_TOKEN/ })
})

test('a zone that is not active, or that several accounts have, is not guessed at', async (t) => {
  const pending = (zone: string) => ({ name: zone, status: 'pending' })
  const { fake, open } = await start(t, {
    zones: [pending('example.com'), 'twice.test', 'twice.test', pending('one.test'), 'one.test'],
  })
  const provider = open({ CF_DNS_API_TOKEN: fake.token })
  const find = async (each: string) => provider.findZone?.(each, signal)
  t.match(await failureOf(find(name)), { kind: 'zone', message: /not active.*registrar/ })
  t.match(await failureOf(find('a.twice.test')), { kind: 'zone', message: /several zones twice\.test: set CF_ZONE_ID/ })
  t.equal((await find('a.one.test'))?.id, fake.zones[4]?.id)
})

test('a limit of calls ends the search for the zone: the next guess is not tried', async (t) => {
  const { fake, open } = await start(t)
  fake.fail({ on: 'read', when: 'before', answer: cloudflareLimit(30) })
  const error = await failureOf(open({ CF_DNS_API_TOKEN: fake.token }).findZone?.(name, signal) ?? Promise.resolve())
  t.match(error, { kind: 'limit', retryAfterMs: 30_000, message: /code 971/ })
  t.equal(fake.calls.length, 1)
})

test('a limit is one whatever its status, and an answer that repeats the token is shown without it', async (t) => {
  const { fake, open } = await start(t)
  const provider = open({ CF_DNS_API_TOKEN: fake.token })
  const said = (code: number) => jsonAnswer(400, { errors: [{ code, message: `no ${fake.token}` }] })
  const zone = { name: 'example.com', id: `${fake.zones[0]?.id}` }
  const kinds = { 971: 'limit', 9109: 'credentials', 1: 'refused' }
  for (const [code, kind] of Object.entries(kinds)) {
    fake.fail({ on: 'write', when: 'before', answer: said(Number(code)) })
    const error = await failureOf(provider.add({ zone, name, value: 'x' }, signal))
    t.match(error, { kind, message: `no [secret] (code ${code})` })
    t.notMatch(inspect(error, { depth: 9 }), fake.token)
  }
})

test('a zone of another name is not taken, whatever was asked for', async (t) => {
  const { fake, open } = await start(t)
  const result = [{ id: 'a'.repeat(32), name: 'myexample.com', status: 'active' }]
  fake.fail({ on: 'read', when: 'before', answer: jsonAnswer(200, { result }) })
  const provider = open({ CF_DNS_API_TOKEN: fake.token })
  t.equal((await provider.findZone?.('example.com', signal))?.name, undefined)
  t.equal((await provider.findZone?.('example.com', signal))?.name, 'example.com')
})

test('reads are tried again where the API fails for a moment', async (t) => {
  const { fake, open } = await start(t)
  fake.fail({ on: 'read', when: 'before', times: 2, answer: jsonAnswer(503, {}) })
  const provider = open({ CF_DNS_API_TOKEN: fake.token })
  t.equal((await provider.findZone?.('example.com', signal))?.name, 'example.com')
  t.equal(fake.calls.length, 3)
})

test('answers that are not what the API promises are told as such', async (t) => {
  const { fake, open } = await start(t)
  const provider = open({ CF_DNS_API_TOKEN: fake.token })
  const answers = [
    null,
    [],
    {},
    { result: 5 },
    { result: [{ name, id: '../../user' }] },
    { result: [{ name, id: 7, status: 'active' }] },
  ]
  for (const body of answers) {
    fake.fail({ on: 'read', when: 'before', answer: jsonAnswer(200, body) })
    t.match(
      await failureOf(Promise.resolve(provider.findZone?.(name, signal))),
      { kind: 'unreachable' },
      JSON.stringify(body),
    )
  }
  const zone = { name: 'example.com', id: '../../user' }
  t.match(await failureOf(provider.add({ zone, name, value: 'x' }, signal)), { kind: 'unreachable' })
  t.notOk(fake.calls.some(({ path }) => path.includes('user')))
})

test('no credential is sent to a server whose certificate is not trusted', async (t) => {
  const fake = await startCloudflare(t, { zones: ['example.com'], certificate: await issue('localhost') })
  const provider = openWith(t, fake, { CF_DNS_API_TOKEN: fake.token })
  t.match(await failureOf(provider.findZone?.(name, signal) ?? Promise.resolve()), {
    kind: 'unreachable',
    message: /certificate/,
  })
  t.same(fake.calls, [])
})
