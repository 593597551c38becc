import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { DIFFERENCES } from '../conformance/differences.ts'
import { doorOf } from '../conformance/door.ts'
import { startOwnSoakp } from '../conformance/own.ts'
import { reportOf, scoreLine, scoreOf } from '../conformance/report.ts'
import { chooseCases, runSuite } from '../conformance/suite.ts'
import type { Cases, Verdict } from '../conformance/suite.ts'
import { startUpstream } from '../conformance/upstream.ts'
import { startForwarder } from './support/forwarder.ts'
import type { Vice } from './support/forwarder.ts'
import { ROOT } from './support/process.ts'

const OPERATION = /^(?:GET|POST|DELETE) \//

/** Each rule that a proxy can break, and a case that notices it. */
const VICES: Readonly<Record<Vice, string>> = {
  'normalises targets': 'target "/x?a=1&a=2&&=%20',
  'rewrites JSON': 'a body with huge integers',
  'joins repeated headers': 'headers of one name',
  'passes the token on': 'target "/"',
  'follows redirects': 'answer: a redirect that keeps the method',
  'asks again after 503': 'answer: an overload',
  'ends what was cut short': 'answer cut short: chunks',
  'collects events': 'POST /chat/completions streams',
  'forgets close reasons': 'socket: the upstream closes with 1000 done',
}

async function testForwarder(t: Test, only: string, vice?: Vice): Promise<readonly Verdict[]> {
  const upstream = await startUpstream()
  t.teardown(() => upstream.close())
  const { baseUrl, token } = await startForwarder(t, upstream.baseUrl, vice)
  return runSuite(upstream, { proxy: doorOf(baseUrl, token), isHttp2: false }, await chooseCases(only))
}

async function testSoakp(t: Test, mode: 'off' | 'local', isHttp2: boolean, cases: Cases): Promise<readonly Verdict[]> {
  const upstream = await startUpstream()
  t.teardown(() => upstream.close())
  const { door, close } = await startOwnSoakp(upstream.baseUrl, mode)
  t.teardown(close)
  return runSuite(upstream, { proxy: door, isHttp2 }, cases)
}

test('SOAKP passes the conformance suite over plain HTTP', async (t) => {
  const cases = await chooseCases()
  const verdicts = await testSoakp(t, 'off', false, cases)
  t.equal(scoreOf(verdicts).failed, 0, reportOf('SOAKP', verdicts))
  t.equal(verdicts.length, cases.calls.length + cases.sockets.length)
})

for (const [name, isHttp2] of [
  ['TLS', false],
  ['HTTP/2', true],
] as const) {
  test(`SOAKP passes its wire cases over ${name}`, async (t) => {
    const { calls, sockets } = await chooseCases()
    const wire = calls.filter(({ title }) => !OPERATION.test(title) || title.endsWith(' streams'))
    const verdicts = await testSoakp(t, 'local', isHttp2, { calls: wire, sockets })
    t.equal(scoreOf(verdicts).failed, 0, reportOf('SOAKP', verdicts))
    t.ok(verdicts.length > 150)
  })
}

for (const [wrong, only] of [
  ['an answer without a frame that was reset came as if it were whole', 'by a reset: one without a frame'],
  ['a QUERY without a media type was refused', 'method QUERY'],
] as const) {
  test(`no longer: ${wrong}`, async (t) => {
    const verdicts = await testSoakp(t, 'off', false, await chooseCases(only))
    t.equal(scoreOf(verdicts).failed, 0, reportOf('SOAKP', verdicts))
    t.ok(verdicts.length > 0)
  })
}

test('the suite shares no code with SOAKP; only what starts one of its own knows it', async (t) => {
  const folder = join(ROOT, 'conformance')
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts'))
  t.ok(files.length > 10)
  for (const file of files.filter((name) => name !== 'own.ts')) {
    const imports = [...(await readFile(join(folder, file), 'utf8')).matchAll(/ from '([^']+)'/g)]
    const targets = imports.map(([, target = '']) =>
      target.startsWith('node:') ? folder : join(folder, file, '..', target),
    )
    t.same(
      targets.filter((target) => !target.startsWith(folder)),
      [],
      file,
    )
  }
})

test('the suite has all operations of the API and every transport', async (t) => {
  const { calls, sockets } = await chooseCases()
  const operations = new Set(calls.flatMap(({ title }) => /^(?:GET|POST|DELETE) \/\S*/.exec(title) ?? []))
  t.equal(operations.size, 389)
  const titles = [...calls, ...sockets].map(({ title }) => title)
  t.equal(new Set(titles).size, titles.length, 'titles are different')
  for (const transport of ['with a form', 'streams', 'resumes a stream', 'gives bytes', 'by SDP']) {
    t.ok(
      titles.some((title) => title.endsWith(transport)),
      transport,
    )
  }
})

test('a plain forwarder passes what proxies that break a rule do not', async (t) => {
  for (const only of new Set(Object.values(VICES))) {
    const verdicts = await testForwarder(t, only)
    t.same(scoreOf(verdicts), { passed: verdicts.length, failed: 0 }, reportOf(only, verdicts))
    t.ok(verdicts.length > 0, only)
  }
})

for (const [vice, only] of Object.entries(VICES) as [Vice, string][]) {
  test(`a proxy that ${vice} is caught`, async (t) => {
    const verdicts = await testForwarder(t, only, vice)
    t.ok(scoreOf(verdicts).failed > 0, reportOf(only, verdicts))
    t.match(reportOf(vice, verdicts), `  failed: ${only}`)
  })
}

test('at most twelve kinds of difference are allowed, and the report says which and why', async (t) => {
  t.ok(Object.keys(DIFFERENCES).length <= 12)
  const verdicts = [
    { title: 'a', differences: [{ kind: 'server', what: 'x' }] },
    { title: 'b', differences: [{ kind: undefined, what: 'this became that' }] },
    { title: 'c', differences: [] },
  ] as const
  const report = reportOf('The proxy', verdicts)
  t.match(report, /failed: b\n {4}this became that\n/)
  t.match(report, `server         1  ${DIFFERENCES.server}`)
  t.notMatch(report, 'credentials')
  t.equal(scoreLine(scoreOf(verdicts)), '2 passed, 1 failed')
})
