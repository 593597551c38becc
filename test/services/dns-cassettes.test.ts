import { test } from 'tap'
import { request } from 'undici'
import { signV4 } from '../../services/dns-core/sigv4.ts'
import { elementsAt, readXml, textAt } from '../../services/dns-core/xml.ts'
import { openProvider } from '../../services/dns/index.ts'
import { Secret } from '../../services/secret.ts'
import { optionsOf } from '../support/dns-benches/bench.ts'
import { readCassette, shapeOfJson, shapeOfXml } from '../support/dns-fakes/cassette.ts'
import type { Recorded } from '../support/dns-fakes/cassette.ts'
import { startCloudflare } from '../support/dns-fakes/cloudflare.ts'
import type { FakeCloudflare } from '../support/dns-fakes/cloudflare.ts'
import { startRoute53 } from '../support/dns-fakes/route53.ts'
import type { FakeRoute53 } from '../support/dns-fakes/route53.ts'
import type { FakeCall } from '../support/dns-fakes/server.ts'

const never = new AbortController().signal
const zoneOfCloudflare = 'byemike.org'
const zoneOfRoute53 = 'fullcr1stal.tk'

/** Aliases and changes of records are not for challenges; the fake has neither. */
const isOfCloudflare = ({ method, body }: Recorded) => method !== 'PUT' && !body.includes('CNAME')

test('the fake of Cloudflare answers what the real API was recorded to answer', async (t) => {
  const recordings = readCassette('cloudflare').filter(isOfCloudflare)
  t.ok(recordings.length >= 9)
  for (const recorded of recordings) {
    const fake = await startCloudflare(t, { zones: [zoneOfCloudflare] })
    const path = pathWithIds(fake, recorded)
    const { statusCode, body } = await request(fake.url + path, {
      method: recorded.method,
      headers: { authorization: `Bearer ${fake.token}`, 'content-type': 'application/json' },
      body: recorded.body === '' ? null : recorded.body,
    })
    t.equal(statusCode, recorded.status, `${recorded.method} ${path}`)
    t.same(shapeOfJson(await body.json()), shapeOfJson(withoutAliases(JSON.parse(recorded.answer))))
  }
})

/** Brings the fake into the state that the recorded answer shows, and returns the path with its ids. */
function pathWithIds(fake: FakeCloudflare, { method, url, body, status, answer }: Recorded): string {
  const { result } = JSON.parse(answer) as { result: { name?: string; content?: string; type?: string }[] | null }
  const isList = method === 'GET' && Array.isArray(result) && url.includes('dns_records')
  const refused = status === 400 ? [JSON.parse(body) as NonNullable<typeof result>[number]] : []
  const standing = isList ? result : refused
  for (const { name = '', content = '', type = 'TXT' } of standing) {
    if (type !== 'CNAME') fake.write({ name, content, type })
  }
  const record = fake.write({ name: `other.${zoneOfCloudflare}`, content: 'other', type: 'A' })
  const { pathname, search } = new URL(url)
  const ids = [`${fake.zones[0]?.id}`, record.id]
  return pathname.replaceAll(/[\da-f]{32}/g, () => `${ids.shift()}`) + search
}

function withoutAliases(answer: { result?: unknown }): unknown {
  if (!Array.isArray(answer.result)) return answer
  return { ...answer, result: answer.result.filter(({ type }: { type: string }) => type !== 'CNAME') }
}

test('our calls of Cloudflare are those that were recorded, with names in the query and a comment besides', async (t) => {
  const fake = await startCloudflare(t, { zones: [zoneOfCloudflare] })
  const provider = await openProvider('cloudflare', optionsOf({ CF_DNS_API_TOKEN: fake.token }, fake.apiUrl))
  t.teardown(async () => provider.close?.())
  if (provider.writes !== 'values') throw new Error('Cloudflare writes values')
  const name = `_acme-challenge.noop.${zoneOfCloudflare}`
  const zone = (await provider.findZone?.(zoneOfCloudflare, never)) ?? { name: '' }
  await provider.add({ zone, name, value: 'challengetoken' }, never)
  await provider.remove({ zone, name, value: 'challengetoken' }, never)
  const recorded = readCassette('cloudflare')
  const plain = (path: string) => path.replaceAll(/[\da-f]{32}/g, 'ID')
  const known = new Set(recorded.map(({ method, url }) => `${method} ${plain(new URL(url).pathname)}`))
  const called = fake.calls.map(({ method, path }) => `${method} ${plain(path)}`)
  t.same(
    called.filter((call) => !known.has(call)),
    [],
  )
  t.equal(new Set(called).size, 4, 'zones, POST, list, DELETE')
  t.same(
    fake.calls.map(({ query }) => [...query.keys()].join()),
    ['name,per_page', '', 'type,name,page,per_page', ''],
  )
  const post = recorded.find(({ method }) => method === 'POST')
  const [theirs, ours] = [`${post?.body}`, `${fake.calls[1]?.body}`].map((body) => shapeOfJson(JSON.parse(body)))
  t.same(
    ours?.filter((path) => theirs?.includes(path) !== true),
    ['.comment: string'],
  )
})

test('the fake of Route 53 answers what the real API was recorded to answer', async (t) => {
  const recordings = readCassette('route53').filter(({ body }) => !body.includes('CNAME'))
  t.ok(recordings.length >= 9)
  for (const recorded of recordings) {
    const fake = await startRoute53(t, { zones: [zoneOfRoute53] })
    prepare(fake, recorded)
    const url = new URL(fake.url + new URL(recorded.url).pathname.replace(/Z04\w+/, `${fake.zones[0]?.id}`))
    const call = { method: recorded.method, url, body: recorded.body }
    const { statusCode, body } = await request(url, {
      method: recorded.method,
      headers: signV4(call, keyOf(fake), Date.now()),
      body: recorded.body === '' ? null : recorded.body,
    })
    t.equal(statusCode, recorded.status, `${recorded.method} ${url.pathname}`)
    t.same(shapeOfXml(await body.text()), shapeOfXml(recorded.answer))
  }
})

const keyOf = ({ accessKeyId, secretAccessKey }: FakeRoute53) => ({
  accessKeyId: new Secret(accessKeyId),
  secretAccessKey: new Secret(secretAccessKey),
  sessionToken: undefined,
  region: 'us-east-1',
  service: 'route53',
})

/** What is deleted must stand there as it is deleted. */
function prepare(fake: FakeRoute53, { body }: Recorded): void {
  if (body === '') return
  const [change] = elementsAt(readXml(body), 'ChangeBatch', 'Changes', 'Change')
  const set = change && elementsAt(change, 'ResourceRecordSet')[0]
  if (change === undefined || set === undefined || textAt(change, 'Action') !== 'DELETE') return
  const values = elementsAt(set, 'ResourceRecords', 'ResourceRecord').map((record) => `${textAt(record, 'Value')}`)
  fake.write({ name: `${textAt(set, 'Name')}`.replace(/\.$/, ''), ttl: Number(textAt(set, 'TTL')), values })
}

test('our calls of Route 53 are those that were recorded', async (t) => {
  const fake = await startRoute53(t, { zones: [zoneOfRoute53] })
  const { accessKeyId, secretAccessKey } = fake
  const variables = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey }
  const provider = await openProvider('route53', optionsOf(variables, fake.apiUrl))
  t.teardown(async () => provider.close?.())
  if (provider.writes !== 'sets') throw new Error('Route 53 writes sets')
  const name = `_acme-challenge.noop.${zoneOfRoute53}`
  const zone = (await provider.findZone?.(zoneOfRoute53, never)) ?? { name: '' }
  for (const values of [['one'], ['one', 'two'], []]) {
    await provider.write({ zone, name }, values, await provider.read(zone, name, never), never)
  }
  const recorded = readCassette('route53')
  const plain = (path: string) => path.replace(/\/Z0\w+/, '/ID')
  const known = new Set(recorded.map(({ method, url }) => `${method} ${plain(new URL(url).pathname)}`))
  const called = fake.calls.map(({ method, path }) => `${method} ${plain(path)}`)
  t.same([...new Set(called)].toSorted(), [...known].toSorted())
  const bodies = recorded.filter(({ method }) => method === 'POST').map(({ body }) => body)
  const shapes = new Set(bodies.map((body) => shapeOfXml(body).join('\n')))
  const isPost = ({ method }: FakeCall) => method === 'POST'
  for (const { body } of fake.calls.filter(isPost)) t.ok(shapes.has(shapeOfXml(body).join('\n')), body)
})
