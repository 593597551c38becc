import { test } from 'tap'
import { startPracticeUpstream } from '../../practice/upstream.ts'
import { startServer } from '../support/process.ts'

test('after an unexpected error a call that does not end is cut after five seconds', async (t) => {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  upstream.handle('GET', '/v1/endless', (_request, response) => void response.write('data: 1\n\n'))
  const preload = "process.once('SIGUSR2', () => setImmediate(() => { throw new Error('boom') }))"
  const command = [process.execPath, '--import', `data:text/javascript,${preload}`, 'bin/soakp.js', 'serve']
  const environment = { SOAKP_UPSTREAM: upstream.url, SOAKP_TLS: 'off', SOAKP_DRAIN_SECONDS: '60' }
  const server = await startServer(t, environment, { command })
  const headers = { authorization: `Bearer ${server.admin}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ key: upstream.key })
  const saved = await fetch(`${server.address}/soakp/keys`, { method: 'POST', headers, body })
  const { token } = ((await saved.json()) as { token: { token: string } }).token
  const stream = await fetch(`${server.address}/v1/endless`, { headers: { authorization: `Bearer ${token}` } })
  const cut = t.rejects(stream.text(), 'it is cut, not ended')
  const sinceMs = performance.now()
  server.kill('SIGUSR2')
  t.match(await server.ended, { code: 1, signal: null, stdout: /"level":"error".*"boom".*unexpected error/ })
  await cut
  const tookMs = performance.now() - sinceMs
  t.ok(tookMs >= 4_900, 'it was given its time')
  t.ok(tookMs < 50_000, 'and not the sixty seconds of an ordinary stop')
})
