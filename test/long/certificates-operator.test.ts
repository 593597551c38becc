import { once } from 'node:events'
import { test } from 'tap'
import { chainFor, follow, isUsed } from '../support/acme-soakp.ts'
import { DOMAIN, ZONE, startWorld, worldIsMissing } from '../support/acme-world.ts'
import { ADMIN, startSoakp } from '../support/soakp.ts'
import type { TestSoakp } from '../support/soakp.ts'

const skip = worldIsMissing

/** Posts to a route of certificates as the admin. */
async function post({ app }: TestSoakp, path: string, payload?: object) {
  const headers = { host: DOMAIN, authorization: `Bearer ${ADMIN}` }
  const answer = await app.inject({
    method: 'POST',
    url: `/soakp/certificates/${path}`,
    headers,
    ...(payload && { payload }),
  })
  return { status: answer.statusCode, body: answer.json() }
}

test('what an operator asks for is done at a real authority', { skip }, async (suite) => {
  const world = await startWorld(suite)
  const before = await world.primary.records(ZONE)
  const root = await world.pebble.root()
  const soakp = await startSoakp(suite, world.environment)
  await follow(soakp).until('it is used', isUsed)
  const served = async () => (await chainFor(soakp.port, DOMAIN, root))[0]

  await suite.test('the check finds nothing wrong and leaves nothing behind', async (t) => {
    const { status, body } = await post(soakp, 'check')
    t.equal(status, 200)
    t.same(
      body.data.filter((each: { status: string }) => each.status === 'fault'),
      [],
    )
    t.same(await world.primary.records(ZONE), before)
  })

  await suite.test('with another account key it is renewed as before', async (t) => {
    const old = await served()
    t.match(await post(soakp, 'account-key'), { status: 200 })
    t.match(await post(soakp, 'renew'), { status: 200, body: { serving: 'acme', last_error: null } })
    t.not((await served())?.serialNumber, old?.serialNumber)
    t.match(
      world.pebble.log().findLast((line) => line.includes('accounts in memory')),
      'There are now 1 accounts',
    )
  })

  await suite.test('a certificate that is revoked is replaced by one with another key', async (t) => {
    const old = await served()
    const answer = await post(soakp, 'revoke', { reason: 'key_compromise' })
    t.match(answer, { status: 200, body: { state: 'valid', last_error: null } })
    t.equal(await world.pebble.certificateStatus(old?.serialNumber.toLowerCase() ?? ''), 'Revoked')
    const now = await served()
    t.not(now?.pubkey?.toString('hex'), old?.pubkey?.toString('hex'))
    t.equal(await world.pebble.certificateStatus(now?.serialNumber.toLowerCase() ?? ''), 'Valid')
    t.same(await world.primary.records(ZONE), before)
  })
})

test('two that prove the same name at once do not disturb each other', { skip }, async (t) => {
  const world = await startWorld(t)
  const before = await world.primary.records(ZONE)
  const both = await Promise.all([startSoakp(t, world.environment), startSoakp(t, world.environment)])
  const root = await world.pebble.root()
  for (const soakp of both) {
    await follow(soakp).until('it is used', isUsed)
    await chainFor(soakp.port, DOMAIN, root)
  }
  t.notMatch(world.pebble.log().join('\n'), /set INVALID/)
  t.same(await world.primary.records(ZONE), before)
})

test('neither the start nor the end is held up by an authority that is silent', { skip }, async (t) => {
  const world = await startWorld(t)
  world.pebble.pause()
  t.teardown(() => world.pebble.resume())
  const soakp = await startSoakp(t, world.environment)
  await follow(soakp).until('it has begun', ({ running }) => running !== null)
  t.match(await follow(soakp).ready(), { status: 'degraded' })
  const closing = soakp.app.close()
  t.equal(await Promise.race([closing.then(() => 'closed'), once(AbortSignal.timeout(10_000), 'abort')]), 'closed')
})
