import acme from 'acme-client'
import { test } from 'tap'
import type { Test } from 'tap'
import { changed, refusal, reset, startAcmeServer } from '../support/acme-server/index.ts'
import type { AcmeServer } from '../support/acme-server/index.ts'
import { issue, never, newAccountKey, openClient, problemOf } from '../support/acme-client.ts'

// What npm's acme-client 5.4.0 does wrong, each measured before it was kept out here.

const names = ['a.soakp.test']

async function signIn(t: Test, server: AcmeServer) {
  const client = openClient(t, server)
  await client.findOrMakeAccount({ email: undefined }, never)
  return client
}

function sentTwice({ requests }: AcmeServer): string[] {
  const nonces = requests.flatMap(({ nonce }) => nonce ?? [])
  return nonces.filter((nonce, index) => nonces.indexOf(nonce) !== index)
}

test('a 429 with Retry-After of three hours is told at once, not slept through', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  server.fail('newOrder', refusal('rateLimited', { status: 429, retryAfter: 10_800 }))
  const error = await problemOf(client.createOrder({ names }, never))
  t.match(error, {
    code: 'SOAKP_ACME_RATE_LIMITED',
    answered: 429,
    retryAfterMs: 10_800_000,
    problem: { type: 'rateLimited', retryAfterMs: 10_800_000 },
  })
  t.equal(server.count('newOrder'), 1)
})

test('errors have the type, the status and what is said of single names', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  const subproblems = [
    { type: 'urn:ietf:params:acme:error:caa', detail: 'CAA forbids', identifier: { type: 'dns', value: 'b.test' } },
    { type: 'urn:ietf:params:acme:error:dns', detail: 'SERVFAIL' },
  ]
  server.fail('newOrder', refusal('rejectedIdentifier', { status: 403, detail: 'Two are bad', subproblems }))
  const error = await problemOf(client.createOrder({ names }, never))
  t.same(error.problem, {
    type: 'rejectedIdentifier',
    detail: 'Two are bad',
    status: 403,
    subproblems: [
      { type: 'caa', detail: 'CAA forbids', name: 'b.test' },
      { type: 'dns', detail: 'SERVFAIL', name: undefined },
    ],
    retryAfterMs: undefined,
  })
  t.match(error.message, /refused to make the order: Two are bad \(rejectedIdentifier\); b\.test: CAA forbids \(caa\)/)
  server.fail('newOrder', refusal('badCSR'))
  t.equal((await problemOf(client.createOrder({ names }, never))).problem?.type, 'badCSR')
})

test('a 500 is an error of the server, not a bad nonce, and is not asked again', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  for (const isCarriedOut of [false, true]) {
    server.fail('newOrder', refusal('serverInternal', { status: 500, isCarriedOut }))
    const before = server.count('newOrder')
    const error = await problemOf(client.createOrder({ names }, never))
    t.match(error, { answered: 500, problem: { type: 'serverInternal' } })
    t.equal(server.count('newOrder'), before + 1)
  }
  t.equal(server.store.orders.length, 1, 'the second was made, and the engine may find it again')
  t.same(sentTwice(server), [])
})

test('a refused connection is an error that names the host, not a TypeError', async (t) => {
  const server = await startAcmeServer(t)
  const client = openClient(t, server)
  await server.stop()
  const error = await problemOf(client.readDirectory(never))
  t.match(error, { code: 'SOAKP_ACME_UNREACHABLE', problem: undefined, answered: undefined })
  t.match(error.message, `${new URL(server.directory).host} cannot be connected to`)
  t.match(error.cause, { code: 'ECONNREFUSED' })
})

test('a connection that is reset is an error at once, and the request is not sent again', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  server.fail('newOrder', reset({ isCarriedOut: true }))
  const error = await problemOf(client.createOrder({ names }, never))
  t.match(error, { problem: undefined, message: /ended the connection before it had answered/ })
  t.equal(server.count('newOrder'), 1)
})

test('with 30 % bad nonces every call succeeds, and none is sent twice', async (t) => {
  let seed = 1
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const server = await startAcmeServer(t, { behaviour: { badNonceShare: 0.3 }, random })
  const client = await signIn(t, server)
  for (let number = 0; number < 10; number += 1) await issue(client, server.records, { names })
  const bad = server.requests.filter(({ status }) => status === 400)
  t.ok(bad.length > 20, `${bad.length} of ${server.requests.length} requests had bad nonces`)
  t.same(sentTwice(server), [])
  t.equal(server.store.certificates.length, 10)
})

test('with nothing but bad nonces a call ends, after as many tries as are worth it', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  server.behaviour.badNonceShare = 1
  const error = await problemOf(client.createOrder({ names }, never))
  t.match(error, { code: 'SOAKP_ACME_BAD_NONCE', answered: 400 })
  t.equal(server.count('newOrder'), 31)
  t.same(sentTwice(server), [])
})

test('parallel calls do not share nonces', async (t) => {
  const server = await startAcmeServer(t, { behaviour: { badNonceShare: 0.3 }, hasTls: false })
  const client = await signIn(t, server)
  const orders = await Promise.all(
    Array.from({ length: 20 }, (_, number) => client.createOrder({ names: [`n${number}.soakp.test`] }, never)),
  )
  t.equal(new Set(orders.map(({ url }) => url)).size, 20)
  t.same(sentTwice(server), [])
})

test('a cache that hands one nonce out again and again is not believed', async (t) => {
  const server = await startAcmeServer(t)
  const client = openClient(t, server)
  const stale = changed((answer) => ({ ...answer, headers: { ...answer.headers, 'replay-nonce': 'c2FtZQ' } }))
  for (const endpoint of ['newNonce', 'newAccount'] as const) server.fail(endpoint, stale, { times: 100 })
  const error = await problemOf(client.findAccount(never))
  t.match(error, { problem: undefined, message: /gives no new nonce/ })
  t.same(
    server.requests.flatMap(({ nonce }) => nonce ?? []),
    ['c2FtZQ'],
  )
  t.same(sentTwice(server), [])
})

test('what Retry-After says of an order that is not ready yet is told', async (t) => {
  const server = await startAcmeServer(t, { behaviour: { retryAfterSeconds: 7, orderReads: 1, authorizationReads: 1 } })
  const client = await signIn(t, server)
  const { authorizations } = await client.createOrder({ names }, never)
  t.equal((await client.readAuthorization(authorizations[0] ?? '', never)).retryAfterMs, 7000)
})

test('a challenge type that nobody knows, and whatever else is new, is passed over', async (t) => {
  const server = await startAcmeServer(t, { behaviour: { isStrange: true } })
  const client = await signIn(t, server)
  t.match((await issue(client, server.records, { names })).chain, /^-----BEGIN CERTIFICATE-----/)
})

test('a change to a key of another account that is answered with success is seen through', async (t) => {
  const server = await startAcmeServer(t, { behaviour: { liesAboutKeyChange: true } })
  const taken = newAccountKey()
  await openClient(t, server, { accountKey: taken }).findOrMakeAccount({ email: undefined }, never)
  const client = await signIn(t, server)
  t.match((await problemOf(client.changeKey(taken, never))).message, /the old key goes on/)
  t.equal((await client.createOrder({ names }, never)).status, 'pending')
})

test('a change of keys that was made counts, though its answer was lost', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  for (const fault of [reset({ isCarriedOut: true }), refusal('serverInternal', { status: 500, isCarriedOut: true })]) {
    server.fail('keyChange', fault)
    await client.changeKey(newAccountKey(), never)
    t.equal((await client.createOrder({ names }, never)).status, 'pending')
  }
  server.fail('keyChange', reset())
  t.match((await problemOf(client.changeKey(newAccountKey(), never))).message, /ended the connection/)
  t.equal((await client.createOrder({ names }, never)).status, 'pending', 'the old key goes on')
})

test('the transport of acme-client is never used', async (t) => {
  let uses = 0
  const interceptor = acme.axios.interceptors.request.use((request) => {
    uses += 1
    return request
  })
  t.teardown(() => acme.axios.interceptors.request.eject(interceptor))
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  const { chain, key } = await issue(client, server.records, { names })
  await client.changeKey(newAccountKey(), never)
  await client.revoke(chain, 0, never, key)
  t.equal(uses, 0)
  t.match(server.requests[0]?.userAgent, /^soakp\/\d+\.\d+/)
  t.equal(new Set(server.requests.map(({ userAgent }) => userAgent)).size, 1)
})

test('the secret of an external account is sent once, and not for an account that is there', async (t) => {
  const hmac = Buffer.alloc(32, 7).toString('base64url')
  const server = await startAcmeServer(t, { externalAccounts: { 'kid-1': hmac } })
  const accountKey = newAccountKey()
  for (let number = 0; number < 3; number += 1) {
    const client = openClient(t, server, { accountKey })
    await client.findOrMakeAccount({ email: 'a@example.com', externalAccount: { kid: 'kid-1', hmac } }, never)
  }
  const bound = server.requests.filter(({ payload }) => JSON.stringify(payload)?.includes('externalAccountBinding'))
  t.equal(bound.length, 1)
})
