import dns from 'node:dns'
import type { LookupAllOptions } from 'node:dns'
import { once } from 'node:events'
import { connect } from 'node:http2'
import { syncBuiltinESMExports } from 'node:module'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { RAW_KEY } from './support/passing.ts'
import { PLAIN, bearer } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { dial, switchingText } from './support/sockets.ts'
import { answerText, startRawUpstream } from './support/wire.ts'

/** Answers look-ups of these names; all others are as before. */
function answerLookups(t: Test, names: readonly string[], addresses: () => readonly string[]): void {
  const { lookup } = dns
  const fake = (name: string, options: LookupAllOptions, found: (...all: unknown[]) => void) => {
    if (!names.includes(name)) return lookup(name, options, found)
    const all = addresses().map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
    return process.nextTick(found, null, all)
  }
  dns.lookup = fake as unknown as typeof lookup
  syncBuiltinESMExports()
  t.teardown(() => {
    dns.lookup = lookup
    syncBuiltinESMExports()
  })
}

/** Ways of a client to call; each returns its status, and the code of a refusal. */
type Ask = (t: Test, soakp: TestSoakp, token: string) => Promise<readonly [status: number, code?: string]>

const asks: Readonly<Record<string, Ask>> = {
  async 'a call'(_t, soakp, token) {
    const { status, body } = await soakp.call('GET', '/v1/x', { headers: bearer(token) })
    return [status, body.error?.code]
  },
  async 'a WebSocket'(t, { address, authority }, token) {
    const url = `${address.replace('http', 'ws')}/v1/realtime`
    const socket = await dial(t, url, [], { ca: authority, headers: bearer(token) })
    if (!(socket instanceof WebSocket)) return [socket.status ?? 0, JSON.parse(socket.body).error.code]
    socket.terminate()
    return [101]
  },
  async 'a call over HTTP/2'(_t, { address, authority = '' }, token) {
    const session = connect(address, { ca: authority })
    const stream = session.request({ ':path': '/v1/x', ...bearer(token) })
    const [headers] = await once(stream, 'response')
    const body = await text(stream)
    session.destroy()
    return [headers[':status'], body.startsWith('{') ? JSON.parse(body).error.code : undefined]
  },
}

/** Where a name may turn to once the key has been saved: metadata services, link-local and private networks. */
const ELSEWHERE: readonly (readonly string[])[] = [
  ['169.254.169.254'],
  ['::ffff:169.254.169.254'],
  ['64:ff9b::a9fe:a9fe'],
  ['fe80::1'],
  ['fd00:ec2::254'],
  ['100.100.100.200'],
  ['0.0.0.0'],
  ['::'],
  ['127.0.0.1', '169.254.169.254'],
]
const PRIVATE = [['10.0.0.5'], ['192.168.1.1'], ['172.16.0.1'], ['fd12::1'], ['127.0.0.1', '10.0.0.5']]

const REFUSED = [502, 'SOAKP_UPSTREAM_ADDRESS']

for (const [mode, environment, ways] of [
  ['plain HTTP', PLAIN, ['a call', 'a WebSocket']],
  ['TLS', {}, ['a call', 'a WebSocket', 'a call over HTTP/2']],
] as const) {
  test(`over ${mode}, a name whose answer changes between look-ups leads nowhere, for calls and for WebSockets`, async (t) => {
    const upstream = await startRawUpstream(t)
    upstream.answer(({ wire, headers }) => {
      const isSocket = headers.some((each) => each.toLowerCase() === 'upgrade')
      // Each call has to look the name up again.
      wire.write(isSocket ? switchingText(headers) : answerText(['HTTP/1.1 200 OK', 'Connection: close'], 'ok'))
      if (!isSocket) wire.socket.end()
    })
    let reached = 0
    const decoy = createServer((socket) => {
      reached += 1
      socket.destroy()
    })
    decoy.listen(0, '127.0.0.1')
    await once(decoy, 'listening')
    t.teardown(() => decoy.close())
    const { port } = new URL(upstream.url)
    const { port: decoyPort } = decoy.address() as AddressInfo

    let answer: readonly string[] = ['127.0.0.1']
    let turn = () => answer
    answerLookups(t, ['api.localhost', 'named.test', 'public.test'], () => turn())
    const named = `http://named.test:${port}`
    const soakp = await startSoakp(t, { ...environment, SOAKP_ALLOW_PRIVATE_UPSTREAMS: named })
    const saved = async (origin: string) => (await soakp.saveKey({ key: RAW_KEY, base_url: `${origin}/v1` })).token
    const [local, byOperator, open] = [
      await saved(`http://api.localhost:${port}`),
      await saved(named),
      await saved(`https://public.test:${decoyPort}`),
    ]

    for (const way of ways) {
      const ask = (token: string) => asks[way]?.(t, soakp, token)
      for (const [token, addresses] of [
        [local, [...ELSEWHERE, ...PRIVATE]],
        [byOperator, ELSEWHERE],
      ] as const) {
        answer = ['127.0.0.1']
        t.ok([101, 200].includes((await ask(token))?.[0] ?? 0), `${way} works`)
        const before = upstream.wires.length
        for (answer of addresses) t.same(await ask(token), REFUSED, `${way}: ${answer.join()}`)
        t.equal(upstream.wires.length, before, 'not even where one of the addresses is right')
      }
      for (answer of [...ELSEWHERE, ...PRIVATE, ['127.0.0.1'], ['::1']]) {
        t.same(await ask(open), REFUSED, `${way} to a public name: ${answer.join()}`)
      }
      // Who looks twice, once to check and once to connect, would find a right address and then a wrong one.
      let lookups = 0
      turn = () => (lookups++ % 2 === 0 ? ['127.0.0.1'] : ['169.254.169.254'])
      for (const isRight of [true, false, true, false]) t.equal((await ask(local))?.[0] !== 502, isRight)
      t.equal(lookups, 4, `${way}: what was looked at is what is connected to`)
      turn = () => answer
    }
    t.equal(reached, 0)
  })
}
