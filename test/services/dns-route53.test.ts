import { test } from 'tap'
import type { Test } from 'tap'
import { readRoute53Fault } from '../../services/dns-core/route53-documents.ts'
import { createProvider } from '../../services/dns/route53.ts'
import type { DnsVariableName } from '../../services/dns-variables.ts'
import { optionsOf } from '../support/dns-benches/bench.ts'
import { failureOf } from '../support/dns-contract/subject.ts'
import { route53Busy, route53Throttling, startRoute53 } from '../support/dns-fakes/route53.ts'
import type { Route53Options } from '../support/dns-fakes/route53.ts'
import { showError, wrap } from '../support/dns-fakes/route53-documents.ts'

const signal = new AbortController().signal
const name = '_acme-challenge.ai.example.com'

async function start(t: Test, options: Route53Options = { zones: ['example.com', 'example.org'] }) {
  const fake = await startRoute53(t, options)
  const [zone] = fake.zones
  const open = (more: Readonly<Partial<Record<DnsVariableName, string>>> = {}) => {
    const own = { AWS_ACCESS_KEY_ID: fake.accessKeyId, AWS_SECRET_ACCESS_KEY: fake.secretAccessKey }
    const provider = createProvider(optionsOf({ ...own, ...more }, fake.apiUrl))
    t.teardown(() => provider.close?.())
    return provider
  }
  return { fake, open, zone: { name: 'example.com', id: `${zone?.id}` } }
}

test('a write is refused as a whole when the set is not what was read: its values, its TTL, its absence', async (t) => {
  const { fake, open, zone } = await start(t)
  const provider = open()
  const stale = [
    async () => fake.write({ name, values: ['"theirs"'] }),
    async () => fake.write({ name, values: ['"theirs"', '"more"'] }),
    async () => fake.write({ name, values: ['"theirs"', '"more"'], ttl: 5 }),
    async () => fake.write({ name, values: [] }),
  ]
  for (const write of stale) {
    const before = await provider.read(zone, name, signal)
    await write()
    const held = JSON.stringify(fake.find(name))
    for (const values of [['ours', ...(before?.values ?? [])], []]) {
      if (values.length === 0 && before === undefined) continue
      const error = await failureOf(provider.write({ zone, name }, values, before, signal))
      t.match(error, { kind: 'conflict', provider: 'route53' })
      t.equal(JSON.stringify(fake.find(name)), held, 'nothing has happened')
    }
  }
})

test('values and TTL of others are written back exactly as they were read', async (t) => {
  const { fake, open, zone } = await start(t)
  const provider = open()
  const values = ['"a" "b"', '"\\303\\244 \\"q\\""', '"a b"']
  fake.write({ name, values, ttl: 77 })
  const before = await provider.read(zone, name, signal)
  t.same(before?.values, ['ab', 'ä "q"', 'a b'])
  await provider.write({ zone, name }, [...(before?.values ?? []), 'ours'], before, signal)
  t.match(fake.find(name), { ttl: 77, values: [...values, '"ours"'] })
  const calls = fake.calls.length
  const now = await provider.read(zone, name, signal)
  await provider.write({ zone, name }, now?.values ?? [], now, signal)
  t.equal(fake.calls.length, calls + 1, 'nothing is written where nothing changes')
})

test('a list that goes on past the name, and other types at the name, are not the set', async (t) => {
  const { fake, open, zone } = await start(t)
  fake.write({ name: `a.${name}`, values: ['"below"'] })
  fake.write({ name, values: ['alias.example.com'], type: 'ZZ' })
  t.equal(await open().read(zone, name, signal), undefined)
})

test('a set with a routing policy is left alone', async (t) => {
  const { fake, open, zone } = await start(t)
  fake.write({ name, values: ['"x"'], setIdentifier: 'one' })
  t.match(await failureOf(open().read(zone, name, signal)), { kind: 'refused', message: /routing policy.*CNAME/ })
})

test('throttling and a prior request come with 400 and are limits', async (t) => {
  const { fake, open, zone } = await start(t)
  for (const answer of [route53Throttling, route53Busy]) {
    fake.fail({ on: 'write', when: 'before', answer })
    t.match(await failureOf(open().write({ zone, name }, ['x'], undefined, signal)), { kind: 'limit' })
  }
})

test('private zones are written to when it is asked for, and then no public ones', async (t) => {
  const zones = [
    'example.com',
    { name: 'example.com', isPrivate: true as const },
    { name: 'lan', isPrivate: true as const },
  ]
  const { fake, open } = await start(t, { zones })
  t.equal((await open().findZone?.(name, signal))?.id, fake.zones[0]?.id)
  const provider = open({ AWS_PRIVATE_ZONE: 'true' })
  t.equal((await provider.findZone?.(name, signal))?.id, fake.zones[1]?.id)
  t.equal((await provider.findZone?.('a.lan', signal))?.name, 'lan')
})

test('several zones of one name are not guessed at, and the id of the zone is enough', async (t) => {
  const { fake, open } = await start(t, { zones: ['example.com', 'example.com', 'example.org'], pageSize: 1 })
  const error = await failureOf(open().findZone?.(name, signal) ?? Promise.resolve())
  t.match(error, { kind: 'zone', message: /several hosted zones example\.com: set AWS_HOSTED_ZONE_ID/ })
  const id = `${fake.zones[1]?.id}`
  const before = fake.calls.length
  t.same(await open({ AWS_HOSTED_ZONE_ID: `/hostedzone/${id}` }).findZone?.(name, signal), { name: 'example.com', id })
  t.notOk(
    fake.calls.slice(before).some(({ path }) => path.includes('hostedzonesbyname')),
    'zones need not be listed',
  )
  t.equal(await open({ AWS_HOSTED_ZONE_ID: id }).findZone?.('a.example.org', signal), undefined)
  t.throws(() => open({ AWS_HOSTED_ZONE_ID: '../x' }), { kind: 'credentials', message: /AWS_HOSTED_ZONE_ID/ })
  const gone = open({ AWS_HOSTED_ZONE_ID: 'Z0GONE' }).findZone?.(name, signal)
  t.match(await failureOf(gone ?? Promise.resolve()), { kind: 'zone', message: /NoSuchHostedZone.*deleted/ })
})

test('settling waits until the change is in sync, four seconds between two looks', async (t) => {
  const { fake, zone, open } = await start(t, { zones: ['example.com'], pendingPolls: 3 })
  const options = optionsOf(
    { AWS_ACCESS_KEY_ID: fake.accessKeyId, AWS_SECRET_ACCESS_KEY: fake.secretAccessKey },
    fake.apiUrl,
  )
  const provider = createProvider(options)
  t.teardown(() => provider.close?.())
  await provider.write({ zone, name }, ['x'], undefined, signal)
  const calls = fake.calls.length
  await provider.settle?.(zone, signal)
  t.equal(fake.calls.length, calls + 4)
  t.same((options.clock as unknown as { waits: number[] }).waits, [4000, 4000, 4000])
  await provider.settle?.(zone, signal)
  t.equal(fake.calls.length, calls + 4, 'once')
  await open().settle?.(zone, signal)
  t.equal(fake.calls.length, calls + 4, 'and only for what was written')
})

test('a change that is not known any more is over', async (t) => {
  const { fake, open, zone } = await start(t)
  const provider = open()
  await provider.write({ zone, name }, ['x'], undefined, signal)
  fake.fail({ on: 'read', when: 'before', answer: showError(404, 'NoSuchChange', 'Could not find resource') })
  await t.resolves(Promise.resolve(provider.settle?.(zone, signal)))
})

test('temporary credentials send their token, signed', async (t) => {
  const { fake, open } = await start(t)
  t.ok(await open({ AWS_SESSION_TOKEN: 'session/token+of=test' }).findZone?.(name, signal))
  const headers = fake.calls[0]?.headers
  t.equal(headers?.['x-amz-security-token'], 'session/token+of=test')
  t.match(
    headers?.['authorization'],
    /us-east-1\/route53\/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token,/,
  )
})

test('calls of China and GovCloud are signed for their own regions', async (t) => {
  const { fake, open } = await start(t)
  const regions = { 'cn-north-1': 'cn-northwest-1', 'us-gov-east-1': 'us-gov-west-1', 'eu-central-1': 'us-east-1' }
  for (const [region, signed] of Object.entries(regions)) {
    t.ok(await open({ AWS_REGION: region }).findZone?.(name, signal))
    t.match(fake.calls.at(-1)?.headers['authorization'], new RegExp(`/${signed}/route53/aws4_request`))
  }
})

test('both forms of error answers are understood, and what is neither is told by its status', (t) => {
  const read = ({ status, body }: { status: number; body: string }) =>
    readRoute53Fault({ status, text: body, headers: {} })
  const old = wrap(
    'InvalidChangeBatch',
    '<Messages><Message>Tried to delete x but it was not found</Message></Messages>',
    400,
  )
  t.match(read(old), { kind: 'conflict', said: 'InvalidChangeBatch: Tried to delete x but it was not found' })
  t.match(read(showError(400, 'InvalidChangeBatch', 'Invalid Resource Record')), { kind: undefined })
  t.match(read(showError(403, 'AccessDenied', 'User is not authorized')), { kind: 'credentials' })
  t.match(read(showError(400, 'SignatureDoesNotMatch', 'Signature expired: 2026 is now earlier')), { advice: /clock/ })
  t.match(read({ status: 502, body: '<html>' }), { kind: undefined, said: '' })
  t.match(read(showError(503, 'AccessDenied', 'x')), { kind: undefined })
  t.end()
})

test('answers that are not what the API promises are told as such', async (t) => {
  const { fake, open, zone } = await start(t)
  for (const answer of [
    { status: 200, body: '{}' },
    wrap('Other', ''),
    wrap('ChangeResourceRecordSetsResponse', '<ChangeInfo><Id>/change/../x</Id></ChangeInfo>'),
  ]) {
    fake.fail({ on: 'write', when: 'after', answer })
    t.match(
      await failureOf(open().write({ zone, name: `${fake.calls.length}.example.com` }, ['x'], undefined, signal)),
      { kind: 'unreachable' },
    )
  }
})
