import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'tap'
import type { Test } from 'tap'
import { makeCase } from '../fuzz/cases.ts'
import { fuzz } from '../fuzz/fuzz.ts'
import { createLeft } from '../fuzz/left.ts'
import { startFuzzedSoakp } from '../fuzz/soakp.ts'
import type { Target } from '../fuzz/target.ts'
import { startFuzzUpstream } from '../fuzz/upstream.ts'

const KEY = `sk-proj-canary-${randomBytes(24).toString('hex')}`
const SEED = 7

/** A server that does to every connection what a test wants; unless it says otherwise, right calls are answered. */
async function startStandIn(
  t: Test,
  misbehave: (socket: Socket, request: string) => boolean,
): Promise<Target & { end: (how: string) => void }> {
  const { promise: ended, resolve: end } = Promise.withResolvers<string>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    t.teardown(() => socket.destroy())
    socket.on('error', () => undefined)
    // Some say nothing.
    socket.once('end', () => void (socket.bytesRead === 0 && socket.end()))
    socket.once('data', (chunk: Buffer) => {
      const request = chunk.toString('latin1')
      const [, index] = /^GET \/v1\/well\/(\d+) /.exec(request) ?? []
      if (index === undefined && misbehave(socket, request)) return
      socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${index?.length ?? 0}\r\n\r\n${index ?? ''}`)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return {
    port,
    secure: undefined,
    token: 'x.y.z',
    admin: 'admin',
    secrets: [Buffer.from(KEY)],
    ended,
    left: async () => '',
    hasPrintedSecret: () => false,
    end,
  }
}

test('hundreds of wrong requests, frames and answers end nothing, hang nothing and bring no key out', async (t) => {
  const upstream = await startFuzzUpstream(SEED, KEY)
  t.teardown(() => upstream.close())
  const soakp = await startFuzzedSoakp(upstream.url, KEY)
  t.teardown(() => soakp.close())
  const { cases, failures } = await fuzz(soakp, { seed: SEED, count: 400, wellEvery: 50 })
  t.strictSame([cases, failures], [400, []])
  t.strictSame(upstream.wrong(), { count: 0, first: undefined })
})

test('the fuzz finds a key that comes out, in one piece or between chunks', async (t) => {
  const half = KEY.length >> 1
  for (const leak of [KEY, `${KEY.slice(0, half)}\r\n1f\r\n${KEY.slice(half)}`]) {
    let connection = 0
    const target = await startStandIn(t, (socket) => {
      connection += 1
      if (connection === 40) socket.write(leak)
      return false
    })
    const { failures } = await fuzz(target, { seed: SEED, count: 60, parallel: 1 })
    t.match(failures, [{ kind: 'leak' }])
    t.equal(failures.length, 1)
  }
  const printing = { ...(await startStandIn(t, () => false)), hasPrintedSecret: () => true }
  t.match((await fuzz(printing, { seed: SEED, count: 5 })).failures, [{ kind: 'leak', detail: 'a secret was printed' }])
})

test('the fuzz finds a hang, and says which case it was', async (t) => {
  let connection = 0
  const target = await startStandIn(t, () => {
    connection += 1
    return connection === 30
  })
  const { failures, cases } = await fuzz(target, { seed: SEED, count: 60, parallel: 1, hangMs: 300 })
  t.strictSame([failures.map(({ kind, index }) => [kind, index]), cases], [[['hang', 29]], 60])
})

test('the fuzz finds what a client that has gone leaves behind, and of 1,000 cases the one', async (t) => {
  let guilty = 0
  let open = 0
  const standIn = await startStandIn(t, (_, request) => {
    if (request.startsWith(`GET /v1/case/${guilty} `)) open += 1
    return false
  })
  guilty = Array.from({ length: 1_000 }, (_, index) => makeCase(SEED, index, standIn)).findIndex(
    ({ kind }, index) => kind === 'upstream' && index > 600,
  )
  const leaving = { ...standIn, left: createLeft({ connections: async () => open }, 0) }
  t.equal(await leaving.left(), '', 'at first there is nothing')
  const { failures, cases } = await fuzz(leaving, { seed: SEED, count: 1_000 })
  t.match(
    [failures, cases],
    [[{ kind: 'hang', index: guilty, detail: /^1 connections left by one of the cases/ }], 1_000],
  )
  t.equal(await leaving.left(), '', 'it is told once')
  const { failures: again } = await fuzz(leaving, { seed: SEED, count: 1_000, only: guilty })
  t.match(again, [{ kind: 'hang', index: guilty }])
})

test('the fuzz finds an end of the process, and stops', async (t) => {
  let connection = 0
  const target = await startStandIn(t, (socket) => {
    connection += 1
    if (connection < 25) return false
    socket.destroy()
    target.end('exit code 1')
    return true
  })
  const { failures, cases } = await fuzz(target, { seed: SEED, count: 1_000, parallel: 4 })
  t.equal(failures.length, 1)
  t.match(failures, [{ kind: 'exit', detail: /exit code 1/ }])
  t.ok(cases < 100)
})

test('the fuzz finds a right call that gets the answer of another', async (t) => {
  const target = await startStandIn(t, () => false)
  const server = createServer((socket) => {
    socket.on('error', () => undefined).once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const wrong = { ...target, port: (server.address() as AddressInfo).port }
  t.match((await fuzz(wrong, { seed: SEED, count: 1, parallel: 1 })).failures[0], { kind: 'wrong answer', index: 0 })
})

test('the fuzz finds an internal error', async (t) => {
  const target = await startStandIn(t, (socket) => {
    socket.end('HTTP/1.1 500 No\r\n\r\n{"error":{"code":"SOAKP_INTERNAL"}}')
    return true
  })
  t.match((await fuzz(target, { seed: SEED, count: 1 })).failures, [{ kind: 'wrong answer', index: 0 }])
})

test('a case is the same whenever it is made, and alone', async (t) => {
  const target = { ...(await startStandIn(t, () => false)), secure: { port: 1, authority: '', token: 'a.b.c' } }
  const made = Array.from({ length: 300 }, (_, index) => makeCase(SEED, index, target))
  t.strictSame(makeCase(SEED, 123, target), made[123])
  t.notSame(makeCase(SEED + 1, 123, target), made[123])
  t.strictSame([...new Set(made.map(({ kind }) => kind))].toSorted(), [
    'http2',
    'request',
    'slow',
    'socket',
    'upstream',
  ])
  let connections = 0
  const alone = await startStandIn(t, () => {
    connections += 1
    return false
  })
  t.strictSame(await fuzz(alone, { seed: SEED, count: 1_000, only: 123 }), { cases: 1, failures: [] })
  t.equal(connections, 1)
})
