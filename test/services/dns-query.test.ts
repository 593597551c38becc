import { networkInterfaces } from 'node:os'
import { AUTHORITATIVE_ANSWER, encode } from 'dns-packet'
import { test } from 'tap'
import { readAnswer, targetsOf, textsOf } from '../../services/dns-wire/query-answer.ts'
import { isAskable, isWithin } from '../../services/dns-wire/query-name.ts'
import { ask } from '../../services/dns-wire/query.ts'
import type { AskOptions } from '../../services/dns-wire/query.ts'
import { splitByFamily } from '../../services/dns-wire/resolver-families.ts'
import { readServerAddress } from '../../services/dns-wire/server-address.ts'
import { smallServers } from '../support/dns-servers.ts'

const options = (timeoutsMs = [2000, 2000, 2000]): AskOptions => ({
  isRecursive: false,
  signal: AbortSignal.timeout(20_000),
  timeoutsMs,
})

const LONG = 'v=1 '.repeat(150)

test('an answer shows its code and its authority, and TXT parts are joined', async (t) => {
  const servers = await smallServers(t)
  const server = await servers.start({ 'example.test': ['www A 192.0.2.1', `@ TXT ${LONG}`, 'WWW2 A 192.0.2.2'] })
  const at = { address: server.address, port: servers.port }
  const answer = await ask(at, { name: 'www.example.test', type: 'A' }, options())
  t.match(answer, { code: 'NOERROR', isAuthoritative: true, isTruncated: false })
  t.same(targetsOf(answer.answers, 'A', 'www.example.test'), ['192.0.2.1'])
  t.match(await ask(at, { name: 'no.example.test', type: 'A' }, options()), { code: 'NXDOMAIN', answers: [] })
  t.match(await ask(at, { name: 'example.org', type: 'A' }, options()), { code: 'REFUSED', isAuthoritative: false })
  const texts = await ask(at, { name: 'example.test', type: 'TXT' }, options())
  t.same(textsOf(texts.answers, 'example.test'), [LONG])
})

test('a truncated answer is asked for again by TCP', async (t) => {
  const servers = await smallServers(t)
  const server = await servers.start({ 'example.test': ['@ TXT value'] })
  server.behaviour = 'truncates'
  const question = { name: 'example.test', type: 'TXT' } as const
  const answer = await ask({ address: server.address, port: servers.port }, question, options())
  t.same(textsOf(answer.answers, 'example.test'), ['value'])
  t.same(server.queries, ['example.test TXT', 'example.test TXT tcp'])
})

test('answers with another id or question, and nonsense, are passed over for the real one', async (t) => {
  const servers = await smallServers(t)
  const server = await servers.start({ 'example.test': ['@ TXT value'] })
  server.behaviour = 'forges'
  const question = { name: 'example.test', type: 'TXT' } as const
  const answer = await ask({ address: server.address, port: servers.port }, question, options())
  t.same(textsOf(answer.answers, 'example.test'), ['value'])
  t.same(server.queries, ['example.test TXT'], 'by UDP at the first try')
})

test('a server that cannot read EDNS is asked without', async (t) => {
  const servers = await smallServers(t)
  const server = await servers.start({ 'example.test': ['@ TXT value'] })
  server.behaviour = 'old'
  const question = { name: 'example.test', type: 'TXT' } as const
  const answer = await ask({ address: server.address, port: servers.port }, question, options())
  t.same(textsOf(answer.answers, 'example.test'), ['value'])
})

test('a silent server is asked twice by UDP and once by TCP, and one that sends broken answers is told apart', async (t) => {
  const servers = await smallServers(t)
  const server = await servers.start({ 'example.test': [] })
  const at = { address: server.address, port: servers.port }
  const question = { name: 'example.test', type: 'SOA' } as const
  server.behaviour = 'silent'
  await t.rejects(ask(at, question, options([100, 100, 100])), {
    code: 'SOAKP_DNS_UNREACHABLE',
    message: `${server.address} port ${servers.port} does not answer.`,
  })
  t.same(server.queries, ['example.test SOA', 'example.test SOA', 'example.test SOA tcp'])
  server.behaviour = 'garbles'
  await t.rejects(ask(at, question, options([100, 100, 100])), /sends what is not an answer to the question/)
})

test('a closed port fails at once, without waiting for the time-outs', async (t) => {
  const servers = await smallServers(t)
  const at = { address: '127.0.0.1', port: servers.port }
  const asked = ask(at, { name: 'example.test', type: 'SOA' }, options([60_000, 60_000, 60_000]))
  await t.rejects(asked, { code: 'SOAKP_DNS_UNREACHABLE', hasNoRoute: false })
})

const hasIpv6 = Object.values(networkInterfaces()).some((each) => each?.some(({ address }) => address === '::1'))

test('IPv6 is asked like IPv4', { skip: hasIpv6 ? false : 'needs ::1' }, async (t) => {
  const servers = await smallServers(t)
  await servers.start({ 'example.test': ['@ TXT value'] }, { address: '::1' })
  const question = { name: 'example.test', type: 'TXT' } as const
  const answer = await ask({ address: '::1', port: servers.port }, question, options())
  t.same(textsOf(answer.answers, 'example.test'), ['value'])
})

test('an abort ends a question at once', async (t) => {
  const servers = await smallServers(t)
  const server = await servers.start({ 'example.test': [] })
  server.behaviour = 'silent'
  const controller = new AbortController()
  const asked = ask(
    { address: server.address, port: servers.port },
    { name: 'example.test', type: 'SOA' },
    {
      isRecursive: false,
      signal: controller.signal,
      timeoutsMs: [60_000, 60_000],
    },
  )
  controller.abort(new Error('stop'))
  await t.rejects(asked, { message: 'stop' })
  await t.rejects(
    ask(
      { address: server.address, port: servers.port },
      { name: 'example.test', type: 'SOA' },
      {
        isRecursive: false,
        signal: controller.signal,
      },
    ),
    { message: 'stop' },
  )
})

test('whatever bytes come, they are an answer or they are not, and nothing is thrown', async (t) => {
  const question = { name: 'example.test', type: 'TXT' } as const
  const good = encode({
    type: 'response',
    id: 7,
    flags: AUTHORITATIVE_ANSWER,
    questions: [question],
    answers: [
      { ...question, data: 'value' },
      { name: 'example.test', type: 'NS', data: 'ns.example.test' },
      { name: 'example.test', type: 'CAA', data: { flags: 0, tag: 'issue', value: 'ca.test' } },
    ],
  })
  t.match(readAnswer(good, 7, question), { isAuthoritative: true, answers: { length: 3 } })
  const question7 = encode({ type: 'query', id: 7, questions: [question] })
  t.equal(readAnswer(question7, 7, question), undefined, 'a question is no answer')
  for (let cut = 0; cut < good.length; cut += 1) t.equal(readAnswer(good.subarray(0, cut), 7, question), undefined)
  let read = 0
  for (let at = 0; at < good.length; at += 1) {
    for (const byte of [0x00, 0x01, 0x3f, 0x40, 0x7f, 0xc0, 0xff]) {
      const changed = Buffer.from(good)
      changed[at] = byte
      const { answers = [] } = readAnswer(changed, 7, question) ?? {}
      read += textsOf(answers, 'example.test').length + targetsOf(answers, 'NS').length
    }
  }
  t.ok(read > 100, 'many of them could be read')
})

test('names are compared at label boundaries, and what is no name is not asked', async (t) => {
  t.ok(isWithin('a.example.com', 'example.com'))
  t.ok(isWithin('example.com', 'example.com'))
  t.notOk(isWithin('badexample.com', 'example.com'))
  t.notOk(isAskable(`${'a'.repeat(64)}.com`))
  t.notOk(isAskable('a..com'))
  t.notOk(isAskable('\u{fffd}.com'))
  t.notOk(isAskable(`${'a.'.repeat(127)}com`))
  const at = { address: '127.0.0.1', port: 1 }
  await t.rejects(ask(at, { name: 'a..com', type: 'A' }, options()), { code: 'SOAKP_DNS_NAME' })
})

test('resolvers are addresses of both families, with or without a port', async (t) => {
  t.same(readServerAddress('192.0.2.1', 'SOAKP_DNS_RESOLVERS'), { host: '192.0.2.1', port: 53 })
  t.same(readServerAddress('192.0.2.1:5353', 'SOAKP_DNS_RESOLVERS'), { host: '192.0.2.1', port: 5353 })
  t.same(readServerAddress('2001:db8::1', 'SOAKP_DNS_RESOLVERS'), { host: '2001:db8::1', port: 53 })
  t.same(readServerAddress('[2001:db8::1]:5353', 'SOAKP_DNS_RESOLVERS'), { host: '2001:db8::1', port: 5353 })
  t.throws(() => readServerAddress('192.0.2.300', 'SOAKP_DNS_RESOLVERS'), { code: 'SOAKP_DNS_SERVER' })
})

test('one family that is silent counts as closed only while the other answers', async (t) => {
  const silent = (hasNoRoute = false) => ({ kind: 'silent', reason: 'does not answer', hasNoRoute }) as const
  const lame = { kind: 'lame', reason: 'answers REFUSED' } as const
  const four = { name: 'ns1', address: '192.0.2.1' }
  const six = { name: 'ns1', address: '2001:db8::1' }
  const other = { name: 'ns2', address: '2001:db8::2' }
  const split = (...servers: Parameters<typeof splitByFamily>[0]) => {
    const { open, closed } = splitByFamily(servers)
    return { open: open.map(({ address }) => address), closed }
  }
  const nobody = split({ ...four, verdict: silent() }, { ...six, verdict: silent() })
  t.same(nobody, { open: [four.address, six.address], closed: [] }, 'nobody answers')
  const ipv6 = split({ ...four, verdict: silent(true) }, { ...six, verdict: silent() })
  t.same(ipv6, { open: [six.address], closed: [{ family: 'IPv4', hosts: ['ns1'] }] }, 'no route, and nobody answers')
  const partly = split({ ...four, verdict: lame }, { ...six, verdict: silent() }, { ...other, verdict: lame })
  t.same(partly, { open: [four.address, six.address, other.address], closed: [] }, 'one of the family answers')
})
