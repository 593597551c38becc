import { realpathSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import OpenAI from 'openai'
import { Agent, fetch } from 'undici'
import { failWith } from '../cli/failures.ts'
import { createServer } from '../fastify.config.ts'
import { LOCAL_AUTHORITY_FILE } from '../services/data-files.ts'
import { readConfiguration } from '../services/configuration.ts'
import { Secret } from '../services/secret.ts'
import { randomId } from './ids.ts'
import { startPracticeUpstream } from './upstream.ts'

/** Slow enough to see the words come. */
const CHUNK_DELAY_MS = 20

const MESSAGE = 'Say what SOAKP does, in one sentence.'

/** A practice run: what was started, and what a shell needs to use it. */
interface Practice {
  readonly address: string
  readonly dataDir: string
  /** The file of the local authority's certificate. */
  readonly authority: string
  readonly token: string
  readonly tokenId: string
}

/** Starts a practice upstream and SOAKP before it, shows a streamed completion and says what to try next. */
async function practise(dataDir: string, atEnd: (close: () => Promise<unknown>) => void): Promise<void> {
  const upstream = await startPracticeUpstream({ chunkDelayMs: CHUNK_DELAY_MS })
  atEnd(() => upstream.close())
  const admin = new Secret(randomId('soakp_admin_'))
  const { configuration } = readConfiguration(
    {
      SOAKP_DATA_DIR: dataDir,
      SOAKP_PORT: process.env['SOAKP_PORT'],
      SOAKP_UPSTREAM: upstream.url,
      SOAKP_ADMIN_TOKEN: admin.reveal(),
      SOAKP_LOG_LEVEL: 'warn',
      SOAKP_DRAIN_SECONDS: '1',
    },
    dataDir,
  )
  const app = await createServer({ configuration })
  atEnd(() => app.close())
  await app.listen({ host: configuration.host, port: configuration.port })
  const { port } = app.server.address() as AddressInfo
  const address = `https://localhost:${port}`
  const authority = join(dataDir, LOCAL_AUTHORITY_FILE)
  const dispatcher = new Agent({ connect: { ca: await readFile(authority) } })
  atEnd(() => dispatcher.destroy())
  print(`\n  Practice upstream   ${upstream.url} (accepts ${upstream.key})\n  SOAKP               ${address}\n`)

  const answer = await fetch(`${address}/soakp/keys`, {
    method: 'POST',
    dispatcher,
    headers: { authorization: `Bearer ${admin.reveal()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ key: upstream.key, name: 'practice' }),
  })
  const saved = (await answer.json()) as { id: string; token: { id: string; token: string } }
  print(`  Key saved           ${saved.id}; its token is ${saved.token.id}\n\n  > ${MESSAGE}\n  `)

  const { id: tokenId, token } = saved.token
  const openai = new OpenAI({
    apiKey: token,
    baseURL: `${address}/v1`,
    fetch: fetch as unknown as typeof globalThis.fetch,
    fetchOptions: { dispatcher },
  })
  const stream = await openai.chat.completions.create({
    model: 'practice-fast',
    messages: [{ role: 'user', content: MESSAGE }],
    stream: true,
  })
  for await (const chunk of stream) print(chunk.choices[0]?.delta.content ?? '')
  print(nextSteps({ address, dataDir, authority, token, tokenId }))
}

/** Returns commands that work as they are in another terminal, in the folder of the clone. */
function nextSteps({ address, dataDir, authority, token, tokenId }: Practice): string {
  return `

  Both run until Ctrl-C. In another terminal, in this folder, try:

# a stream with curl
curl -N --cacert ${authority} ${address}/v1/chat/completions -H 'Authorization: Bearer ${token}' \\
  -H 'Content-Type: application/json' \\
  -d '{"model":"practice-fast","stream":true,"messages":[{"role":"user","content":"Hello from curl"}]}'

# the same with the openai package
NODE_EXTRA_CA_CERTS=${authority} OPENAI_BASE_URL=${address}/v1 OPENAI_API_KEY=${token} \\
node --input-type=module -e "
  import OpenAI from 'openai'
  const stream = await new OpenAI().chat.completions.create({
    model: 'practice-fast', stream: true, messages: [{ role: 'user', content: 'Hello from Node' }],
  })
  for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '')
  console.log()
"

# what the token may do, and what is left of its limits
curl --cacert ${authority} ${address}/soakp/me -H 'Authorization: Bearer ${token}'

# revoke the token, then try again
SOAKP_DATA_DIR=${dataDir} npm run soakp tokens revoke ${tokenId}

`
}

function print(text: string): void {
  process.stdout.write(text)
}

/** Practises until SIGINT or SIGTERM, and leaves nothing behind. */
async function main(): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'soakp-practice-'))
  const closers: (() => Promise<unknown>)[] = []
  let isEnding = false

  async function end(): Promise<void> {
    isEnding = true
    for (const close of closers.toReversed()) await close()
    await rm(dataDir, { recursive: true, force: true })
  }

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (!isEnding) end().then(() => process.exit(0), failWith)
    })
  }
  try {
    await practise(dataDir, (close) => closers.push(close))
  } catch (error) {
    // What fails because it is being ended is no failure.
    if (isEnding) return
    await end()
    failWith(error)
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main()
