import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import OpenAI from 'openai'
import { test } from 'tap'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import { ROOT, run } from './support/process.ts'
import type { RunningProcess } from './support/process.ts'
import { ADMIN, startSoakp, temporaryFolder } from './support/soakp.ts'

const SOAKP_BEHIND_NGINX = { SOAKP_TLS: 'off', SOAKP_TRUSTED_PROXIES: '127.0.0.1' }
const DEADLINE_MS = 20_000

function needsNginx(): string | false {
  if (process.platform !== 'linux') return 'needs Linux, where any 127.x.x.x is an address'
  return spawnSync('nginx', ['-v']).status === 0 ? false : 'needs nginx'
}

const skip = needsNginx()

interface Nginx {
  /** `https://localhost:PORT` */
  readonly address: string
  readonly ca: string
  /** Creates a dispatcher that trusts nginx's certificate and comes from an address of loopback. */
  from(localAddress: string, options?: Agent.Options): Agent
}

/** Starts nginx with deploy/nginx.conf before what listens on a port; the config is changed in names and ports alone. */
async function startNginx(t: Test, upstreamPort: number): Promise<Nginx> {
  const folder = await temporaryFolder(t)
  const now = new Date()
  const authority = await createLocalAuthority(now)
  const { certificatePem, privateKeyPem } = await issueLocalCertificate(authority, ['localhost'], now)
  await writeFile(join(folder, 'fullchain.pem'), certificatePem)
  await writeFile(join(folder, 'privkey.pem'), privateKeyPem)
  await mkdir(join(folder, 'temporary'))
  const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/temporary;`)
    .join('\n')
  const deployed = await readFile(join(ROOT, 'deploy/nginx.conf'), 'utf8')

  async function start(): Promise<number | undefined> {
    const port = await freePort()
    const changes = {
      'server 127.0.0.1:3033;': `server 127.0.0.1:${upstreamPort};`,
      'listen 443 ': `listen 127.0.0.1:${port} `,
      'listen [::]:443 ssl http2;': '',
      '/etc/ssl/private/ai.example.com/': `${folder}/`,
    }
    let site = deployed
    for (const [from, to] of Object.entries(changes)) {
      if (!site.includes(from)) throw new Error(`deploy/nginx.conf has no "${from}" any more`)
      site = site.replaceAll(from, to)
    }
    const config = `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}
      http { access_log off; ${temporaryPaths}\n${site} }`
    await writeFile(join(folder, 'nginx.conf'), config)
    const nginx = run(t, 'nginx', ['-e', 'stderr', '-p', folder, '-c', join(folder, 'nginx.conf')])
    return (await isListening(nginx, port)) ? port : undefined
  }

  const port = (await start()) ?? (await start()) ?? (await start())
  if (port === undefined) throw new Error('nginx found no free port')
  return {
    address: `https://localhost:${port}`,
    ca: authority.certificatePem,
    from(localAddress, options = {}) {
      const agent = new Agent({ ...options, localAddress, connect: { ca: authority.certificatePem, family: 4 } })
      t.teardown(() => agent.destroy())
      return agent
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Waits until nginx listens; false when somebody else took the port before it. */
async function isListening(nginx: RunningProcess, port: number): Promise<boolean> {
  let ended: Awaited<RunningProcess['ended']> | undefined
  void nginx.ended.then((end) => (ended = end))
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (ended === undefined && isOpen) return true
    if (ended?.stderr.includes('Address already in use')) return false
    if (ended !== undefined) throw new Error(`nginx does not start: ${ended.stderr}`)
  }
}

test('a stream comes through nginx event by event', { skip }, async (t) => {
  const soakp = await startSoakp(t, SOAKP_BEHIND_NGINX)
  const nginx = await startNginx(t, soakp.port)
  const { token } = await soakp.saveKey()
  const events = ['one', 'two', 'three', 'four']
  const read = events.map(() => Promise.withResolvers<void>())
  soakp.upstream.handle('POST', '/v1/chat/completions', async (_, response) => {
    response.setHeader('content-type', 'text/event-stream')
    for (const [index, content] of events.entries()) {
      const delta = { object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content } }] }
      response.write(`data: ${JSON.stringify(delta)}\n\n`)
      // The next one is not written before the client has this one.
      await read[index]?.promise
    }
    response.end('data: [DONE]\n\n')
  })

  const openai = new OpenAI({
    apiKey: token,
    baseURL: `${nginx.address}/v1`,
    maxRetries: 0,
    fetch: fetch as unknown as typeof globalThis.fetch,
    fetchOptions: { dispatcher: nginx.from('127.0.0.1') },
  })
  const stream = await openai.chat.completions.create(
    { model: 'practice-fast', stream: true, messages: [{ role: 'user', content: 'count' }] },
    { signal: AbortSignal.timeout(DEADLINE_MS) },
  )
  const came: string[] = []
  for await (const chunk of stream) {
    came.push(chunk.choices[0]?.delta.content ?? '')
    read[came.length - 1]?.resolve()
  }
  t.same(came, events)
})

test('an upload of some megabytes goes through nginx as it comes', { skip }, async (t) => {
  const soakp = await startSoakp(t, SOAKP_BEHIND_NGINX)
  const nginx = await startNginx(t, soakp.port)
  const { token } = await soakp.saveKey()
  const file = randomBytes(6 * 2 ** 20)
  const begun = Promise.withResolvers<void>()
  soakp.upstream.handle('POST', '/v1/files', async (request, response) => {
    const hash = createHash('sha256')
    for await (const chunk of request) {
      begun.resolve()
      hash.update(chunk)
    }
    response.end(JSON.stringify({ sha256: hash.digest('hex') }))
  })

  async function* inTwoParts() {
    yield file.subarray(0, 2 ** 20)
    // Not sent before the upstream has some of the first part.
    await begun.promise
    yield file.subarray(2 ** 20)
  }
  const answer = await fetch(`${nginx.address}/v1/files`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: inTwoParts(),
    duplex: 'half',
    dispatcher: nginx.from('127.0.0.1'),
    signal: AbortSignal.timeout(DEADLINE_MS),
  })
  t.same(await answer.json(), { sha256: createHash('sha256').update(file).digest('hex') })
})

test(
  'the address limit counts the callers of nginx and not nginx, and nobody by what he claims',
  { skip },
  async (t) => {
    const soakp = await startSoakp(t, { ...SOAKP_BEHIND_NGINX, SOAKP_ADDRESS_REQUESTS_PER_MINUTE: '5' })
    const nginx = await startNginx(t, soakp.port)
    async function statuses(url: string, dispatcher: Agent): Promise<number[]> {
      const result: number[] = []
      for (let index = 1; index <= 6; index += 1) {
        const headers = { 'x-forwarded-for': `203.0.113.${index}`, forwarded: `for=203.0.113.${index}` }
        const answer = await fetch(`${url}/soakp/health`, { dispatcher, headers })
        await answer.text()
        result.push(answer.status)
      }
      return result
    }
    const limited = [200, 200, 200, 200, 200, 429]
    t.same(
      await statuses(nginx.address, nginx.from('127.0.51.1')),
      limited,
      'another address each time by its own word',
    )
    t.same(await statuses(nginx.address, nginx.from('127.0.51.2')), limited, 'another caller has a limit of his own')

    const direct = `http://127.0.0.1:${soakp.port}`
    t.same(await statuses(direct, nginx.from('127.0.51.3')), limited, 'who is no trusted proxy is not believed')
    t.same(
      await statuses(direct, nginx.from('127.0.0.1')),
      limited.map(() => 200),
      'the trusted proxy is',
    )
  },
)

test('the name and scheme that callers use are known behind nginx, with HTTP/2 too', { skip }, async (t) => {
  const soakp = await startSoakp(t, SOAKP_BEHIND_NGINX)
  const nginx = await startNginx(t, soakp.port)
  const manage = (origin: string, allowH2: boolean) =>
    fetch(`${nginx.address}/soakp/keys`, {
      dispatcher: nginx.from('127.0.0.1', { allowH2 }),
      headers: { authorization: `Bearer ${ADMIN}`, origin },
    })
  for (const allowH2 of [false, true]) {
    t.equal((await manage(nginx.address, allowH2)).status, 200, 'a page that is served from here')
    t.equal((await manage('https://evil.example', allowH2)).status, 403, 'a page of somebody else')
    t.equal((await manage(nginx.address.replace('https', 'http'), allowH2)).status, 403, 'a page of another scheme')
  }
})

test('an upgrade goes through nginx, and other requests ask for none', { skip }, async (t) => {
  const came: IncomingHttpHeaders[] = []
  const server = createHttpServer((request, response) => {
    came.push(request.headers)
    response.end()
  })
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', () => socket.send('heard')))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const nginx = await startNginx(t, (server.address() as AddressInfo).port)

  const socket = new WebSocket(`${nginx.address.replace('https', 'wss')}/v1/realtime`, { ca: nginx.ca })
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  socket.send('hello')
  const [answer] = await once(socket, 'message')
  t.equal(String(answer), 'heard')

  await (await fetch(nginx.address, { dispatcher: nginx.from('127.0.0.1') })).text()
  t.equal(came[0]?.connection, undefined)
  t.equal(came[0]?.upgrade, undefined)
})
