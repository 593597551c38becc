import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'tap'
import type { Test } from 'tap'
import { createCertificateRequest } from '../../services/acme/certificate-request.ts'
import type { AcmeClient } from '../../services/acme/index.ts'
import { hang, startAcmeServer } from '../support/acme-server/index.ts'
import type { AcmeServer } from '../support/acme-server/index.ts'
import { issue, never, newAccountKey, openClient, problemOf } from '../support/acme-client.ts'

type Call = (client: AcmeClient, signal: AbortSignal) => Promise<unknown>

/** Every call of the client, with arguments that exist. */
async function prepareCalls(t: Test, server: AcmeServer, accountKey: string): Promise<Record<keyof AcmeClient, Call>> {
  const client = openClient(t, server, { accountKey })
  await client.findOrMakeAccount({ email: undefined }, never)
  const { chain, key, certificateUrl } = await issue(client, server.records, { names: ['a.soakp.test'] })
  const order = await client.createOrder({ names: ['b.soakp.test'] }, never)
  const [authorization = ''] = order.authorizations
  const { challenge } = await client.readAuthorization(authorization, never)
  const { csr } = await createCertificateRequest(order.names)
  return {
    readDirectory: (c, signal) => c.readDirectory(signal),
    findAccount: (c, signal) => c.findAccount(signal),
    findOrMakeAccount: (c, signal) => c.findOrMakeAccount({ email: undefined }, signal),
    changeContact: (c, signal) => c.changeContact('a@soakp.test', signal),
    createOrder: (c, signal) => c.createOrder({ names: ['b.soakp.test'] }, signal),
    readOrder: (c, signal) => c.readOrder(order.url, signal),
    readAuthorization: (c, signal) => c.readAuthorization(authorization, signal),
    answerChallenge: (c, signal) => c.answerChallenge(challenge?.url ?? '', signal),
    deactivateAuthorization: (c, signal) => c.deactivateAuthorization(authorization, signal),
    finalize: (c, signal) => c.finalize(order, csr, signal),
    readCertificate: (c, signal) => c.readCertificate(certificateUrl, signal, 'Other Root'),
    readRenewalWindow: (c, signal) => c.readRenewalWindow(server.find(chain).renewalId, signal),
    revoke: (c, signal) => c.revoke(chain, 1, signal, key),
    changeKey: (c, signal) => c.changeKey(newAccountKey(), signal),
    close: (c) => c.close(),
  }
}

test('an abort ends every call at once, whichever of its requests is waiting', async (t) => {
  const server = await startAcmeServer(t, { hasTls: false, rootCount: 2 })
  const accountKey = newAccountKey()
  const { close, ...calls } = await prepareCalls(t, server, accountKey)
  t.type(close, 'function')
  let aborts = 0
  let slowest = 0
  for (const [name, call] of Object.entries(calls)) {
    for (let skip = 0; ; skip += 1) {
      const client = openClient(t, server, { accountKey })
      const isWaiting = Promise.withResolvers<'waiting'>()
      server.fail(
        'any',
        (carryOut) => {
          isWaiting.resolve('waiting')
          return hang(carryOut)
        },
        { skip },
      )
      const abort = new AbortController()
      const reason = new Error(`stop ${name}`)
      const outcome = call(client, abort.signal).then(
        () => 'done',
        (error: unknown) => error,
      )
      if ((await Promise.race([isWaiting.promise, outcome])) !== 'waiting') break
      const start = performance.now()
      abort.abort(reason)
      if ((await outcome) !== reason) t.equal(await outcome, reason, `${name}, request ${skip + 1}`)
      slowest = Math.max(slowest, performance.now() - start)
      aborts += 1
      await client.close()
    }
    server.heal()
  }
  t.ok(aborts >= 13 * 2, `${aborts} aborts`)
  t.ok(slowest < 500, `the slowest took ${slowest.toFixed(1)} ms`)
})

test('a signal that is aborted already sends nothing', async (t) => {
  const server = await startAcmeServer(t, { hasTls: false })
  const reason = new Error('stop')
  await t.rejects(openClient(t, server).readDirectory(AbortSignal.abort(reason)), reason)
  t.equal(server.requests.length, 0)
})

test('an abort ends a call that is still connecting, and so does the time', async (t) => {
  const { directory } = await startSilence(t)
  // Loose, but less than undici's own ten seconds for a connection.
  const deadline = performance.now() + 5000
  const open = (timeoutMs: number) => openClient(t, { directory, roots: undefined }, { timeoutMs })
  const error = await problemOf(open(50).readDirectory(never))
  t.match(error, { problem: undefined, message: /did not answer within 0\.05 s/ })

  const abort = new AbortController()
  const reason = new Error('stop')
  const call = open(60_000).readDirectory(abort.signal)
  setImmediate(() => abort.abort(reason))
  await t.rejects(call, reason)
  t.ok(performance.now() < deadline, 'at once')
})

test('a client that is closed leaves no connection behind that is still being made', async (t) => {
  const { directory, sockets } = await startSilence(t)
  const deadline = performance.now() + 5000
  const client = openClient(t, { directory, roots: undefined }, { timeoutMs: 50 })
  await problemOf(client.readDirectory(never))
  const [socket] = sockets
  const closed = socket !== undefined && once(socket, 'close')
  socket?.resume()
  await client.close()
  await closed
  t.ok(performance.now() < deadline, 'at once')
})

test('the time is that of the call, however many requests it needs', async (t) => {
  const server = await startAcmeServer(t, { hasTls: false })
  const client = openClient(t, server, { timeoutMs: 300 })
  server.fail('newAccount', hang)
  t.match((await problemOf(client.findAccount(never))).message, /did not answer within 0\.3 s: it is asked again later/)
  t.equal(await client.findAccount(never), undefined, 'the next call has its own time')
})

test('a client that was closed says so, and takes waiting calls along', async (t) => {
  const server = await startAcmeServer(t, { hasTls: false })
  const client = openClient(t, server)
  const isWaiting = Promise.withResolvers<void>()
  server.fail('directory', (carryOut) => {
    isWaiting.resolve()
    return hang(carryOut)
  })
  const waiting = problemOf(client.readDirectory(never))
  await isWaiting.promise
  await client.close()
  t.equal((await waiting).problem, undefined)
  await t.rejects(client.readDirectory(never), { code: 'SOAKP_ACME_UNREACHABLE' })
})

/** Takes connections and says nothing, not even TLS. */
async function startSilence(t: Test): Promise<{ directory: string; sockets: Set<Socket> }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return { directory: `https://127.0.0.1:${(server.address() as AddressInfo).port}/directory`, sockets }
}
