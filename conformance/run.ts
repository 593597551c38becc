import { readFile } from 'node:fs/promises'
import { connect } from 'node:tls'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { doorOf } from './door.ts'
import type { Door } from './door.ts'
import { startOwnSoakp } from './own.ts'
import { reportOf, scoreLine, scoreOf } from './report.ts'
import { chooseCases, runSuite } from './suite.ts'
import type { Cases, Subject, Verdict } from './suite.ts'
import { startUpstream } from './upstream.ts'
import type { RecordingUpstream } from './upstream.ts'

const USAGE = `Compares what a proxy passes on with what was sent.

  npm run conformance                                  SOAKP itself, over plain HTTP, TLS and HTTP/2
  npm run conformance -- --base-url URL --token TOKEN  any proxy: its upstream has to be the one that is started here

  --base-url URL        of the proxy: https://localhost:3033/v1
  --token TOKEN         what the proxy wants to be called with; may call a few thousand times a minute
  --ca FILE             PEM of the authority that the proxy's certificate is from
  --upstream-port PORT  of the upstream that is started here, 9009 by default
  --upstream-host HOST  its address, 127.0.0.1 by default
  --only TEXT           cases whose title has this text in it
`

const { values } = parseArgs({
  options: {
    'base-url': { type: 'string' },
    token: { type: 'string' },
    ca: { type: 'string' },
    'upstream-port': { type: 'string' },
    'upstream-host': { type: 'string' },
    only: { type: 'string' },
    help: { type: 'boolean' },
  },
})

if (values.help === true) process.stdout.write(USAGE)
else process.exitCode = await run()

async function run(): Promise<number> {
  const { 'base-url': baseUrl, token, only } = values
  if ((baseUrl === undefined) !== (token === undefined)) {
    process.stderr.write('conformance: --base-url and --token belong together\n')
    return 1
  }
  const port = values['upstream-port'] ?? (baseUrl === undefined ? 0 : 9_009)
  const upstream = await startUpstream(Number(port), values['upstream-host'])
  const cases = await chooseCases(only)
  const verdicts =
    baseUrl === undefined || token === undefined
      ? await testOwn(upstream, cases)
      : await testProxy(upstream, doorOf(baseUrl, token, values.ca && (await readFile(values.ca, 'utf8'))), cases)
  upstream.close()
  const score = scoreOf(verdicts)
  process.stdout.write(`${scoreLine(score)}\n`)
  return score.failed === 0 && score.passed > 0 ? 0 : 1
}

/** Tests a SOAKP of its own in each way in which clients come. */
async function testOwn(upstream: RecordingUpstream, cases: Cases): Promise<Verdict[]> {
  const plain = await startOwnSoakp(upstream.baseUrl, 'off')
  const secure = await startOwnSoakp(upstream.baseUrl, 'local')
  try {
    return [
      ...(await testSubject('SOAKP over plain HTTP', upstream, { proxy: plain.door, isHttp2: false }, cases)),
      ...(await testSubject('SOAKP over TLS', upstream, { proxy: secure.door, isHttp2: false }, cases)),
      ...(await testSubject('SOAKP over HTTP/2', upstream, { proxy: secure.door, isHttp2: true }, cases)),
    ]
  } finally {
    await plain.close()
    await secure.close()
  }
}

/** Tests any proxy by HTTP/1.1, and by HTTP/2 if it speaks that. */
async function testProxy(upstream: RecordingUpstream, proxy: Door, cases: Cases): Promise<Verdict[]> {
  process.stdout.write(`The proxy's upstream has to be ${upstream.baseUrl}\n`)
  const verdicts = await testSubject('The proxy over HTTP/1.1', upstream, { proxy, isHttp2: false }, cases)
  if (!(await speaksHttp2(proxy))) return verdicts
  return [...verdicts, ...(await testSubject('The proxy over HTTP/2', upstream, { proxy, isHttp2: true }, cases))]
}

async function testSubject(
  title: string,
  upstream: RecordingUpstream,
  subject: Subject,
  cases: Cases,
): Promise<Verdict[]> {
  const verdicts = await runSuite(upstream, subject, cases)
  process.stdout.write(`${reportOf(title, verdicts)}\n`)
  return verdicts
}

async function speaksHttp2({ host, port, isSecure, authority }: Door): Promise<boolean> {
  if (!isSecure) return false
  const socket = connect({ host, port, servername: host, ALPNProtocols: ['h2'], ...(authority && { ca: authority }) })
  try {
    await once(socket, 'secureConnect')
    return socket.alpnProtocol === 'h2'
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
