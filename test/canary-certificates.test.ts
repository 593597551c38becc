import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'tap'
import { Agent, fetch } from 'undici'
import { isNowhere, readAll } from './support/canary.ts'
import { listen } from './support/doctor.ts'
import { run, startServer } from './support/process.ts'

const canary = (prefix: string) => `${prefix}-canary-${randomBytes(18).toString('hex')}`

const GIVEN = canary('cf')
const STORED = canary('aws')
const MISPLACED = canary('misplaced')
const HMAC = randomBytes(32).toString('base64url')
const ADMIN = `soakp_admin_${randomBytes(32).toString('base64url')}`

/** Answers every call with all of it, as a hostile or careless provider or authority would. */
async function echo(request: IncomingMessage): Promise<string> {
  const { method, url, headers } = request
  return JSON.stringify({ type: 'urn:x:error:echo', detail: { method, url, headers, body: await text(request) } })
}

test('no credential of a DNS provider and no external account key is in any log, file, answer or error', async (t) => {
  const calls: string[] = []
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    calls.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''}`)
    response.writeHead(request.url === '/directory' ? 200 : 403, { 'content-type': 'application/json' })
    const own = `http://${request.headers.host}`
    const resources = { newNonce: `${own}/nonce`, newAccount: `${own}/account`, newOrder: `${own}/order` }
    const directory = JSON.stringify({ ...resources, meta: { externalAccountRequired: true } })
    response.end(request.url === '/directory' ? directory : await echo(request))
  }
  const hostile = createServer((request, response) => void answer(request, response))
  const url = `http://127.0.0.1:${await listen(t, hostile)}`
  const environment = {
    SOAKP_HOST: '127.0.0.1',
    SOAKP_ADMIN_TOKEN: ADMIN,
    SOAKP_LOG_LEVEL: 'debug',
    SOAKP_DRAIN_SECONDS: '1',
    SOAKP_DOMAIN: 'ai.example.com',
    SOAKP_ACME_DIRECTORY: `${url}/directory`,
    SOAKP_ACME_EAB_KID: 'kid-1',
    SOAKP_ACME_EAB_HMAC: HMAC,
    SOAKP_DNS: 'cloudflare',
    SOAKP_DNS_API_URL: url,
    SOAKP_DNS_RESOLVERS: '127.0.0.1:9',
    CF_DNS_API_TOKEN: GIVEN,
  }
  const server = await startServer(t, environment)
  const ca = await readFile(join(server.dataDir, 'local-authority.pem'), 'utf8')
  const trusting = new Agent({ connect: { ca } })
  t.teardown(() => trusting.destroy())
  const seen: string[] = []
  const manage = async (method: string, path: string, body?: unknown) => {
    const headers = {
      authorization: `Bearer ${ADMIN}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    const got = await fetch(`https://localhost:${server.port}/soakp${path}`, {
      method,
      headers,
      dispatcher: trusting,
      body: body === undefined ? null : JSON.stringify(body),
    })
    seen.push(`${got.status} ${[...got.headers].flat().join(' ')} ${await got.text()}`)
    return got.status
  }

  const path = '/dns/credentials/AWS_SECRET_ACCESS_KEY'
  t.equal(await manage('PUT', path, { value: STORED }), 200)
  for (const body of [{ value: [MISPLACED] }, { value: STORED, [MISPLACED]: 1 }, MISPLACED])
    await manage('PUT', path, body)
  await manage('PUT', `/dns/credentials/${MISPLACED}`, { value: MISPLACED })
  await manage('DELETE', `/dns/credentials/${MISPLACED.replaceAll('-', '_')}`)
  await manage('POST', '/certificates/revoke', { reason: MISPLACED })
  t.equal(await manage('POST', '/certificates/check'), 200)
  t.equal(await manage('POST', '/certificates/renew'), 502)
  for (const each of ['/certificates', '/dns/providers', '/metrics', '/openapi.json']) await manage('GET', each)
  const ofCommand = { ...environment, SOAKP_DATA_DIR: server.dataDir }
  for (const words of [
    'acme status',
    'dns providers --json',
    `dns set ${MISPLACED}`,
    `dns set CF_DNS_API_TOKEN ${MISPLACED}`,
    'doctor',
  ]) {
    const command = ['bin/soakp.js', ...words.split(' ')]
    const { stdout, stderr } = await run(t, process.execPath, command, { environment: ofCommand }).ended
    seen.push(stdout, stderr)
  }
  const filesWhileRunning = await readAll(server.dataDir)
  server.kill('SIGTERM')
  const ended = await server.ended
  const files = [...filesWhileRunning, ...(await readAll(server.dataDir))]

  t.ok(
    calls.some((call) => call.includes(GIVEN)),
    'the provider got its credential',
  )
  t.ok(seen.length >= 20, 'answers were collected')
  t.match(ended.stdout, /attempt-failed/, 'logs were collected')
  isNowhere(
    t,
    { given: GIVEN, stored: STORED, misplaced: MISPLACED, 'external account': HMAC, admin: ADMIN },
    {
      answers: seen.join('\n'),
      'standard output': ended.stdout,
      'standard error': ended.stderr,
      files: Buffer.concat(files),
    },
  )
})
