import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from '../fastify.config.ts'
import { readConfiguration } from '../services/configuration.ts'
import { requestHeaders } from '../services/headers.ts'
import { createLeakGuard } from '../services/leak-guard.ts'
import { createConnectionCount } from '../services/connection-count.ts'

const ROUNDS = 50_000

/** What one step of a request costs. */
export interface Block {
  readonly name: string
  readonly microseconds: number
}

/** Measures the steps that every request takes before its upstream is called, and what a bad token costs. */
export async function measureBlocks(): Promise<Block[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'soakp-bench-'))
  const environment = { SOAKP_DATA_DIR: dataDir, SOAKP_TLS: 'off', SOAKP_LOG_LEVEL: 'silent' }
  const app = await createServer(readConfiguration(environment, dataDir))
  try {
    const { liveCalls, places, store, vault } = app.unsealed
    const key = await vault.save({ key: `sk-bench-${randomBytes(60).toString('hex')}` })
    const { token } = await app.tokens.mint({ key_id: key.id })
    const authenticated = app.tokens.authenticate(token)
    const { grant } = authenticated
    const connections = createConnectionCount(2_000, () => false)
    const forged = `${token.split('.').slice(0, 2).join('.')}.${randomBytes(32).toString('base64url')}`
    const withHeader = (changes: object) => {
      const [header = '', ...rest] = token.split('.')
      const changed = { ...(JSON.parse(Buffer.from(header, 'base64url').toString()) as object), ...changes }
      return [Buffer.from(JSON.stringify(changed)).toString('base64url'), ...rest].join('.')
    }
    const refuse = (name: string, bad: string) => time(name, () => refusal(() => app.tokens.authenticate(bad)))
    const guard = createLeakGuard('sk-bench-key')
    const event = Buffer.from(`data: {"choices":[{"delta":{"content":"word "}}]}\n\n`)
    return [
      time('read the grant (revocation, policy, key row)', () => void store.findGrant(grant.token_id, 1)),
      time('authenticate a known token, grant read included', () => void app.tokens.authenticate(token)),
      time('open the key', () => void vault.open({ ...grant, id: grant.key_id })),
      time('make the upstream headers (14 of an SDK)', () => void requestHeaders(SDK_HEADERS, { authorization: 'x' })),
      time('search one event of a stream for the key', () => void guard.push(event)),
      time('count a connection of an IPv6 address, and its end', () => connections.add('2001:db8:1:2::3')?.()),
      time('look for a place among the calls of all and of the token', () => app.limits.assertParallel(authenticated)),
      time('take a place at the upstream, and give it back', () => places.take('https://api.openai.com').leave()),
      time('enter a call in the list of what runs, and end it', () => liveCalls.add('tok', 'key', () => undefined)()),
      refuse('refuse a token with a forged signature', forged),
      refuse('refuse a token of an unknown key id', withHeader({ kid: 'token-signing/9' })),
      refuse('refuse a token of a wrong algorithm', withHeader({ alg: 'none' })),
      refuse('refuse a token of another issuer', `x${token}`),
      refuse('refuse a token that is malformed', 'a.b'),
      refuse('refuse a token of 16 KB', 'a'.repeat(16_000)),
    ]
  } finally {
    await app.close()
    await rm(dataDir, { recursive: true, force: true })
  }
}

function time(name: string, step: () => void): Block {
  for (let round = 0; round < ROUNDS / 10; round += 1) step()
  const before = process.cpuUsage()
  for (let round = 0; round < ROUNDS; round += 1) step()
  const { user, system } = process.cpuUsage(before)
  return { name, microseconds: (user + system) / ROUNDS }
}

function refusal(step: () => unknown): void {
  try {
    step()
  } catch {
    return
  }
  throw new Error('a token that should be refused was not')
}

/** Names and values as the official SDK sends them. */
const SDK_HEADERS = [
  'Host|localhost:3033|connection|keep-alive|Authorization|Bearer x|Accept|application/json|User-Agent|OpenAI/JS 7.57.0',
  'X-Stainless-Lang|js|X-Stainless-Package-Version|7.57.0|X-Stainless-OS|Linux|X-Stainless-Arch|x64',
  'X-Stainless-Runtime|node|X-Stainless-Retry-Count|0|Content-Type|application/json|Content-Length|659',
  'Accept-Encoding|gzip, deflate',
].flatMap((line) => line.split('|'))
