import { watch } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { Agent, fetch } from 'undici'
import { chainFor, follow, isUsed } from '../support/acme-soakp.ts'
import { DOMAIN, ZONE, startLaggingWorld, startWorld, worldIsMissing } from '../support/acme-world.ts'
import { needsBind } from '../support/bind.ts'
import { eventuallyTrue } from '../support/eventually-answers.ts'
import { createKey } from '../support/name-server.ts'
import { startServer } from '../support/process.ts'
import { ADMIN, startSoakp, temporaryFolder } from '../support/soakp.ts'

const skip = worldIsMissing

test('with more than half of the servers taken for enough, one that lags fails the validation', { skip }, async (t) => {
  const world = await startLaggingWorld(t)
  const { until } = follow(await startSoakp(t, { ...world.environment, SOAKP_DNS_POLICY: 'quorum' }))
  const { last_error: error } = await until('it fails', ({ last_error: last }) => last !== null)
  t.match(error, { problem: 'unauthorized' })
  t.match(world.pebble.log().join('\n'), /set INVALID/, 'so this authority looks at all of them, every time')
})

test('a certificate is got with BIND as the name server', { skip: skip || needsBind() }, async (t) => {
  const world = await startWorld(t, { bindKey: createKey('hmac-sha512') })
  const before = await world.primary.records(ZONE)
  const soakp = await startSoakp(t, world.environment)
  await follow(soakp).until('it is used', isUsed)
  await chainFor(soakp.port, DOMAIN, await world.pebble.root())
  t.same(await world.primary.records(ZONE), before)
})

test('one certificate has forty names, of which pairs are proved at the same place', { skip }, async (t) => {
  const world = await startWorld(t)
  const before = await world.primary.records(ZONE)
  const names = Array.from({ length: 20 }, (_, index) => [`n${index}.${ZONE}`, `*.n${index}.${ZONE}`]).flat()
  const soakp = await startSoakp(t, { ...world.environment, SOAKP_DOMAIN: names.join(',') })
  await follow(soakp).until('it is used', isUsed)
  const [leaf] = await chainFor(soakp.port, `any.n19.${ZONE}`, await world.pebble.root())
  t.equal(leaf?.subjectaltname?.split(', ').length, 40)
  t.notMatch(world.pebble.log().join('\n'), /set INVALID/)
  t.same(await world.primary.records(ZONE), before)
})

test('an account whose key was being changed when SOAKP was killed can still be used', { skip }, async (t) => {
  const world = await startWorld(t)
  const SOAKP_DATA_DIR = join(await temporaryFolder(t), 'data')
  const environment = { ...world.environment, SOAKP_DATA_DIR, SOAKP_ADMIN_TOKEN: ADMIN, SOAKP_LOG_LEVEL: 'silent' }
  const root = await world.pebble.root()
  // By its address, whatever the certificate: what is called is what is tested.
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  t.teardown(() => dispatcher.destroy())
  const post = (port: number, path: string) =>
    fetch(`https://127.0.0.1:${port}/soakp/certificates/${path}`, {
      method: 'POST',
      dispatcher,
      headers: { authorization: `Bearer ${ADMIN}` },
    })

  let server = await startServer(t, environment)
  await eventuallyTrue('it is served', () =>
    chainFor(server.port, DOMAIN, root).then(
      () => true,
      () => false,
    ),
  )
  let cut = 0
  for (let afterEvents = 1; afterEvents <= 12; afterEvents++) {
    let events = 0
    const count = () => {
      if (++events === afterEvents) server.kill('SIGKILL')
    }
    const stopListening = world.pebble.onLine((line) => line.includes('calling handler') && count())
    const watcher = watch(SOAKP_DATA_DIR, count)
    await post(server.port, 'account-key').catch(() => cut++)
    server.kill('SIGKILL')
    await server.ended
    stopListening()
    watcher.close()

    server = await startServer(t, environment)
    t.equal((await post(server.port, 'renew')).status, 200, `after ${afterEvents} events`)
  }
  t.ok(cut > 2)
  t.match(
    world.pebble.log().findLast((line) => line.includes('accounts in memory')),
    'There are now 1 accounts',
  )
})
