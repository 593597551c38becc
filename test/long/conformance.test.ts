import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { startUpstream } from '../../conformance/upstream.ts'
import { startForwarder } from '../support/forwarder.ts'
import { run } from '../support/process.ts'
import { startSoakp, temporaryFolder } from '../support/soakp.ts'

const COMMAND = ['conformance/run.ts']

test('the command tests a SOAKP of its own over plain HTTP, TLS and HTTP/2', async (t) => {
  const { code, stdout, stderr } = await run(t, process.execPath, COMMAND).ended
  t.equal(code, 0, stderr)
  for (const way of ['plain HTTP', 'TLS', 'HTTP/2']) t.match(stdout, `SOAKP over ${way}: `)
  t.match(stdout, /\n\d{4} passed, 0 failed\n$/)
})

test('the command tests a proxy whose upstream the operator has set', async (t) => {
  // Only the port is wanted: it is free again when the command listens on it.
  const place = await startUpstream()
  place.close()
  const { port } = new URL(place.baseUrl)
  const soakp = await startSoakp(t, { SOAKP_UPSTREAM: place.baseUrl, SOAKP_TOKEN_REQUESTS_PER_MINUTE: '100000' })
  const { token } = await soakp.saveKey({ key: 'sk-proj-conformance-0123456789abcdef' })
  const authority = join(await temporaryFolder(t), 'authority.pem')
  await writeFile(authority, soakp.authority ?? '')
  const aim = ['--base-url', `${soakp.address}/openai`, '--token', token, '--upstream-port', port, '--ca', authority]
  const { code, stdout } = await run(t, process.execPath, [...COMMAND, ...aim]).ended
  t.equal(code, 0, stdout)
  t.match(stdout, 'The proxy over HTTP/2: ')
})

test('the command fails when the proxy does', async (t) => {
  const place = await startUpstream()
  place.close()
  const { port } = new URL(place.baseUrl)
  const { baseUrl, token } = await startForwarder(t, place.baseUrl, 'rewrites JSON')
  const aim = ['--base-url', baseUrl, '--token', token, '--upstream-port', port, '--only', 'a body']
  const { code, stdout } = await run(t, process.execPath, [...COMMAND, ...aim]).ended
  t.equal(code, 1)
  t.match(stdout, /failed: a body with huge integers\n[\s\S]*\d+ passed, [1-9]\d* failed\n$/)
})
