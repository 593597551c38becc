import { test } from 'tap'
import { assertLength, createBodyMeter } from '../../services/body-meter.ts'
import { createCallWatch } from '../../services/call-watch.ts'
import { createConnectionCount } from '../../services/connection-count.ts'
import { readConfiguration } from '../../services/configuration.ts'
import type { Environment } from '../../services/environment.ts'
import type { SoakpError } from '../../services/errors.ts'
import type { LimitsConfiguration } from '../../services/limits-configuration.ts'
import { createLiveCalls } from '../../services/live-calls.ts'
import type { Owed } from '../../services/live-calls.ts'
import { addressOf, createNetworks, networkOf } from '../../services/networks.ts'
import { createUpstreamPlaces } from '../../services/upstream-places.ts'

test('an IPv6 /64 is one address, a /24 or /48 one network, however it is written', (t) => {
  for (const [ip, address, network] of [
    ['192.0.2.77', '192.0.2.77', '192.0.2'],
    ['::ffff:192.0.2.77', '192.0.2.77', '192.0.2'],
    ['0:0:0:0:0:FFFF:192.0.2.77', '192.0.2.77', '192.0.2'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::', '2001:db8:1::'],
    ['2001:0DB8:0001:0002::9', '2001:db8:1:2::', '2001:db8:1::'],
    ['2001:db8::1', '2001:db8:0:0::', '2001:db8:0::'],
    ['fe80::1%eth0', 'fe80:0:0:0::', 'fe80:0:0::'],
    ['::1', '0:0:0:0::', '0:0:0::'],
    ['', '', ''],
  ] as const) {
    t.same([addressOf(ip), networkOf(ip)], [address, network], ip)
  }
  const isTrusted = createNetworks(['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '2001:dead::1'])
  const inside = ['10.9.9.9', '::ffff:10.1.1.1', '192.0.2.7', '2001:db8:9::1', '2001:dead::1']
  const outside = ['11.0.0.1', '192.0.2.8', '::ffff:11.1.1.1', '2001:db9::1', '2001:dead::2', 'no address', '']
  t.same(inside.map(isTrusted), [true, true, true, true, true])
  t.same(
    outside.map(isTrusted),
    Array.from(outside, () => false),
  )
  t.end()
})

test('connections of an address are counted, given back once, and nothing is remembered of who has none', (t) => {
  const count = createConnectionCount(2, (ip) => ip === '192.0.2.9')
  const first = count.add('2001:db8:1:2::1')
  t.type(count.add('2001:db8:1:2:ffff::2'), 'function')
  t.equal(count.add('2001:db8:1:2::3'), undefined, 'the third of a /64')
  t.type(count.add('2001:db8:1:3::1'), 'function', 'another /64')
  first?.()
  first?.()
  const again = count.add('2001:db8:1:2::4')
  t.type(again, 'function', 'a place that is free again')
  t.equal(count.add('2001:db8:1:2::5'), undefined, 'one place was given back, not two')
  const many = Array.from({ length: 9 }, () => count.add('192.0.2.9'))
  t.notOk(many.includes(undefined), 'a trusted proxy has as many as it needs')
  t.equal(count.addresses(), 3)
  for (const leave of many) leave?.()
  t.equal(count.addresses(), 2)
  t.end()
})

test('places at an upstream go to those who wait, in their order, and to each at most once', async (t) => {
  const places = createUpstreamPlaces({ most: 1, queue: 2, queueMs: 60_000 })
  const first = places.take('https://a')
  t.equal(first.wait, undefined)
  t.equal(places.take('https://b').wait, undefined, 'another upstream has its own')
  const second = places.take('https://a')
  const third = places.take('https://a')
  const order: string[] = []
  const reached = [second.wait?.then(() => order.push('second')), third.wait?.then(() => order.push('third'))]
  t.throws(() => places.take('https://a'), { code: 'SOAKP_UPSTREAM_BUSY', statusCode: 503 }, 'the queue is full')
  first.leave()
  first.leave()
  await reached[0]
  t.same(order, ['second'])
  const fourth = places.take('https://a')
  t.type(fourth.wait, Promise)
  fourth.leave()
  second.leave()
  await reached[1]
  third.leave()
  third.leave()
  const fifth = places.take('https://a')
  t.equal(fifth.wait, undefined, 'who left the queue got nothing and took nothing')
  const sixth = places.take('https://a')
  t.type(sixth.wait, Promise, 'and there is still only one place')
  sixth.leave()
})

test('who waits too long for an upstream is refused, and its place in the queue is free', async (t) => {
  const places = createUpstreamPlaces({ most: 1, queue: 1, queueMs: 5 })
  const first = places.take('https://a')
  const late = places.take('https://a')
  await t.rejects(late.wait ?? Promise.resolve(), {
    code: 'SOAKP_UPSTREAM_BUSY',
    headers: { 'retry-after': '1', 'x-should-retry': 'true' },
  })
  late.leave()
  const next = places.take('https://a')
  first.leave()
  await next.wait
  next.leave()
  t.equal(places.take('https://a').wait, undefined)
})

const body = (bytes: number): Owed => ({ of: 'body', bytes })

test('a call is ended when it takes too long, or when its client does not do what is expected of it', (t) => {
  const calls = createLiveCalls()
  const watch = createCallWatch({ callMs: 86_400_000, clientIdleMs: 60_000, clientBytesPerSecond: 0 })
  const ended: string[] = []
  const startedMs = performance.now()
  const at = (seconds: number) => watch(calls.all(), startedMs + seconds * 1_000)
  const note = (name: string) => (why: SoakpError) => void ended.push(`${name} ${why.code}`)
  let sent = 0
  calls.add('tok', 'key', note('slow'), () => body(sent))
  calls.add('tok', 'key', note('waits for the upstream'), () => undefined)
  calls.add('tok', 'key', note('a WebSocket'))
  at(1)
  at(60)
  sent += 1
  at(61)
  at(120)
  t.same(ended, [], 'a byte within the time is enough')
  at(122)
  t.same(ended, ['slow SOAKP_REQUEST_TIMEOUT'])
  at(86_401)
  t.match(ended.slice(1).toSorted(), [
    'a WebSocket SOAKP_CALL_TOO_LONG',
    'slow SOAKP_CALL_TOO_LONG',
    'waits for the upstream SOAKP_CALL_TOO_LONG',
  ])
  t.end()
})

test('a silence that is broken by a turn of the upstream begins anew', (t) => {
  const calls = createLiveCalls()
  const watch = createCallWatch({ callMs: 86_400_000, clientIdleMs: 60_000, clientBytesPerSecond: 0 })
  let owed: Owed | undefined = body(5)
  let isEnded = false
  calls.add(
    'tok',
    'key',
    () => (isEnded = true),
    () => owed,
  )
  watch(calls.all(), 0)
  owed = undefined
  watch(calls.all(), 50_000)
  owed = body(5)
  watch(calls.all(), 51_000)
  watch(calls.all(), 110_000)
  t.notOk(isEnded)
  watch(calls.all(), 111_000)
  t.ok(isEnded)
  t.end()
})

test('a body comes and an answer is taken as fast as it has to be, or the call is ended', (t) => {
  const calls = createLiveCalls()
  const watch = createCallWatch({ callMs: 86_400_000, clientIdleMs: 60_000, clientBytesPerSecond: 100 })
  const ended: string[] = []
  let seconds = 0
  const add = (name: string, owes: () => Owed | undefined) => {
    const end = ({ statusCode, message }: SoakpError) => {
      ended.push(`${name} after ${seconds} s: ${statusCode} ${message}`)
      leave()
    }
    const leave = calls.add('tok', 'key', end, owes)
  }
  add('a byte each second', () => body(seconds))
  add('as fast as must be', () => body(seconds * 100))
  add('nothing', () => body(0))
  add('much, then nothing', () => body(Math.min(seconds * 1_000, 200_000)))
  add('all of a minute at once', () => body(Math.floor(seconds / 55) * 6_000))
  add('an upstream that takes it slowly', () => (seconds % 50 === 0 ? undefined : body(seconds)))
  add('an answer that is taken byte by byte', () => ({ of: 'answer', bytes: seconds }))
  for (; seconds <= 600; seconds += 1) watch(calls.all(), seconds * 1_000)
  t.match(ended, [
    /^a byte each second after 60 s: 408 Less than 6000 bytes .* within 60 s\. .*SOAKP_CLIENT_BYTES_PER_SECOND/,
    /^nothing after 60 s: 408 Nothing of the body came .*SOAKP_CLIENT_IDLE_SECONDS/,
    /^an answer that is taken byte by byte after 60 s: 408 Less than 6000 bytes of the answer were taken within 60 s/,
    /^much, then nothing after 2[56]\d s: 408 Less than 6000 bytes/,
  ])
  t.equal(ended.length, 4)
  t.end()
})

test('a body may be as long as is allowed and not one byte longer', (t) => {
  const refusal = { code: 'SOAKP_BODY_TOO_LARGE', statusCode: 413 }
  const meter = createBodyMeter(10)
  meter.count(Buffer.alloc(10))
  t.equal(meter.bytes, 10)
  t.throws(() => meter.count(Buffer.alloc(1)), refusal)
  for (const length of [undefined, '0', '10']) assertLength(length, 10)
  t.throws(() => assertLength('11', 10), refusal)
  t.throws(() => assertLength('99999999999999999999999', 10), refusal)
  t.end()
})

test('each limit is set by a variable of its own, times in seconds', (t) => {
  const read = (environment: Environment) => readConfiguration({ SOAKP_TLS: 'off', ...environment }, '/').configuration
  const variables: Readonly<Record<keyof LimitsConfiguration, readonly [name: string, value: number, read: number]>> = {
    connections: ['SOAKP_CONNECTIONS', 7, 7],
    addressConnections: ['SOAKP_ADDRESS_CONNECTIONS', 7, 7],
    sessionStreams: ['SOAKP_HTTP2_STREAMS', 7, 7],
    parallelRequests: ['SOAKP_PARALLEL_REQUESTS', 7, 7],
    headerBytes: ['SOAKP_HEADER_BYTES', 2_048, 2_048],
    urlBytes: ['SOAKP_URL_BYTES', 512, 512],
    bodyBytes: ['SOAKP_BODY_BYTES', 8_589_934_592, 8_589_934_592],
    headersMs: ['SOAKP_HEADERS_SECONDS', 7, 7_000],
    clientIdleMs: ['SOAKP_CLIENT_IDLE_SECONDS', 7, 7_000],
    clientBytesPerSecond: ['SOAKP_CLIENT_BYTES_PER_SECOND', 0, 0],
    callMs: ['SOAKP_CALL_SECONDS', 7, 7_000],
    refusedRequestsPerMinute: ['SOAKP_REFUSED_REQUESTS_PER_MINUTE', 7, 7],
    networkFailedLoginsPerMinute: ['SOAKP_NETWORK_FAILED_LOGINS_PER_MINUTE', 7, 7],
    upstreamQueue: ['SOAKP_UPSTREAM_QUEUE', 0, 0],
    upstreamQueueMs: ['SOAKP_UPSTREAM_QUEUE_SECONDS', 7, 7_000],
    socketBufferBytes: ['SOAKP_SOCKET_BUFFER_BYTES', 65_537, 65_537],
  }
  const { limits: defaults } = read({})
  for (const [limit, [name, value, expected]] of Object.entries(variables)) {
    const { limits } = read({ [name]: String(value) })
    t.same(limits, { ...defaults, [limit]: expected }, name)
    t.throws(() => read({ [name]: '-1' }), { code: 'SOAKP_CONFIGURATION', message: new RegExp(`${name} must be`) })
  }
  t.ok(defaults.bodyBytes >= 2 * 536_870_912, 'the largest file that OpenAI takes (512 MB) fits')
  t.end()
})
