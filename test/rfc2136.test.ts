import { test } from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../services/clock.ts'
import { createProvider } from '../services/dns/rfc2136.ts'
import { Secret } from '../services/secret.ts'
import { needsBind, startBind } from './support/bind.ts'
import { needsKnot, startKnot } from './support/knot.ts'
import { createKey, nameServers } from './support/name-server.ts'
import type { NameServer } from './support/name-server.ts'

const keys = [createKey('hmac-sha256'), createKey('hmac-sha512', 'long-key')] as const
const { signal } = new AbortController()
const zone = { name: 'soakp.test' }
const NAME = '_acme-challenge.soakp.test'

const servers = (name: string) => nameServers(name, { ns1: '127.0.0.1' })
const zones = {
  'soakp.test': `${servers('soakp.test')}
@ TXT "foreign at the apex"
www A 127.0.0.1
alias CNAME www
away NS ns.elsewhere.test.
busy 300 TXT "foreign"
busy 300 TXT "two " "strings"
`,
  'deep.soakp.test': `${servers('deep.soakp.test')}alias CNAME www.soakp.test.\n`,
  'locked.test': servers('locked.test'),
}

/** Opens the provider for a server; `changes` are of its variables, `aheadMs` of its clock. */
function open(server: NameServer, changes: Readonly<Record<string, string>> = {}, aheadMs = 0) {
  const variables = {
    RFC2136_NAMESERVER: server.host,
    RFC2136_TSIG_KEY: keys[0].name,
    RFC2136_TSIG_SECRET: keys[0].secret,
    ...changes,
  }
  const credentials = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, new Secret(value)]))
  return createProvider({ credentials, apiUrl: undefined, clock: { ...systemClock, now: () => Date.now() + aheadMs } })
}

const long = {
  RFC2136_TSIG_KEY: keys[1].name,
  RFC2136_TSIG_ALGORITHM: 'HMAC-SHA512',
  RFC2136_TSIG_SECRET: keys[1].secret,
}

/** What both servers must do alike. */
async function behave(group: Test, server: NameServer): Promise<void> {
  for (const [algorithm, changes] of Object.entries({ sha256: {}, sha512: long })) {
    await group.test(
      `of two values one is removed, others stay, and in the end all is as before: ${algorithm}`,
      async (t) => {
        const before = await server.records('soakp.test')
        const provider = await open(server, changes)
        for (const value of ['one', 'two', 'one']) await provider.add({ zone, name: NAME, value }, signal)
        t.same((await provider.list?.(zone, NAME, signal))?.toSorted(), ['one', 'two'])
        t.same(await server.values(NAME), ['one', 'two'])
        await provider.remove({ zone, name: NAME, value: 'one' }, signal)
        await provider.remove({ zone, name: NAME, value: 'one' }, signal)
        t.same(await server.values(NAME), ['two'])
        await provider.remove({ zone, name: NAME, value: 'two' }, signal)
        t.same(await provider.list?.(zone, NAME, signal), [])
        t.same(await server.records('soakp.test'), before)
      },
    )
  }

  await group.test('values of others at the same name stay, with their TTL', async (t) => {
    const before = await server.records('soakp.test')
    const provider = await open(server)
    const record = { zone, name: 'busy.soakp.test', value: 'ours' }
    await provider.add(record, signal)
    t.same((await provider.list?.(zone, record.name, signal))?.toSorted(), ['foreign', 'ours', 'two strings'])
    const added = 'busy.soakp.test. 300 IN TXT "ours"'
    t.same(await server.records('soakp.test'), [...before, added].toSorted())
    await provider.remove(record, signal)
    t.same(await server.records('soakp.test'), before)
  })

  await group.test('a value of 700 bytes, quotes and backslashes arrive as they are', async (t) => {
    const provider = await open(server)
    for (const value of ['x'.repeat(700), '"quoted" \\ and ; more', '']) {
      await provider.add({ zone, name: NAME, value }, signal)
      t.same(await provider.list?.(zone, NAME, signal), [value])
      await provider.remove({ zone, name: NAME, value }, signal)
    }
    t.same(await server.values(NAME), [])
  })

  await group.test('twenty values written at once all arrive', async (t) => {
    const provider = await open(server)
    const values = Array.from({ length: 20 }, (_, index) => `value-${10 + index}`)
    await Promise.all(values.map((value) => provider.add({ zone, name: NAME, value }, signal)))
    t.same(await server.values(NAME), values)
    await Promise.all(values.map((value) => provider.remove({ zone, name: NAME, value }, signal)))
    t.same(await server.values(NAME), [])
  })

  await group.test('the longest zone of the server that holds a name is found', async (t) => {
    for (const provider of [await open(server), await openWithoutKey(server)]) {
      const find = async (name: string) => (await provider.findZone?.(name, signal))?.name
      t.equal(await find('_acme-challenge.a.b.soakp.test'), 'soakp.test')
      t.equal(await find('soakp.test'), 'soakp.test')
      t.equal(await find('alias.soakp.test'), 'soakp.test')
      t.equal(await find('x.deep.soakp.test'), 'deep.soakp.test')
      t.equal(await find('alias.deep.soakp.test'), 'deep.soakp.test', 'whatever zone the alias leads to')
      t.equal(await find('badsoakp.test'), undefined)
      t.equal(await find('example.com'), undefined)
      t.equal(await find('x.away.soakp.test'), undefined, 'what is delegated to others is theirs')
    }
  })

  await group.test('a clock that is ten minutes off is corrected by the signed time of the server', async (t) => {
    for (const aheadMs of [600_000, -600_000]) {
      const provider = await open(server, {}, aheadMs)
      await provider.add({ zone, name: NAME, value: 'late' }, signal)
      t.same(await server.values(NAME), ['late'])
      t.equal((await provider.findZone?.(NAME, signal))?.name, 'soakp.test')
      await provider.remove({ zone, name: NAME, value: 'late' }, signal)
      t.same(await server.values(NAME), [])
    }
  })

  await group.test('a wrong secret, key name or algorithm is told apart', async (t) => {
    const record = { zone, name: NAME, value: 'never' }
    const faults = [
      [{ RFC2136_TSIG_SECRET: keys[1].secret }, /RFC2136_TSIG_SECRET/],
      [{ RFC2136_TSIG_KEY: 'nobody' }, /no key nobody .*RFC2136_TSIG_KEY/],
      [{ RFC2136_TSIG_ALGORITHM: 'hmac-sha384' }, /no key .* for hmac-sha384/],
    ] as const
    for (const [changes, message] of faults) {
      const provider = await open(server, changes)
      const fault = { kind: 'credentials', provider: 'rfc2136', message }
      await t.rejects(provider.add(record, signal), fault)
      await t.rejects(provider.remove(record, signal), fault)
      await t.rejects(async () => void (await provider.findZone?.(NAME, signal)), fault)
    }
    t.same(await server.values(NAME), [])
  })

  await group.test('what the zone does not allow is refused with the line that allows it', async (t) => {
    const provider = await open(server)
    const record = { zone: { name: 'locked.test' }, name: 'x.locked.test', value: 'never' }
    const hint = /update-policy \{ grant soakp-key name x\.locked\.test\. TXT; \}.*action: update/
    await t.rejects(provider.add(record, signal), { kind: 'credentials', message: hint })
    const keyless = await openWithoutKey(server)
    const record2 = { zone, name: NAME, value: 'never' }
    await t.rejects(keyless.add(record2, signal), { message: /RFC2136_TSIG_KEY and RFC2136_TSIG_SECRET/ })
    t.same(await server.values(NAME), [])
  })

  await group.test('zones that are not of the server, and aliases, are named', async (t) => {
    const provider = await open(server)
    const write = (zoneName: string, name: string) =>
      provider.add({ zone: { name: zoneName }, name, value: 'never' }, signal)
    await t.rejects(write('soakp.test', 'x.other.test'), { kind: 'zone', message: /NOTZONE/ })
    await t.rejects(write('other.test', 'x.other.test'), { message: /primary server of other\.test/ })
    await t.rejects(write('soakp.test', 'alias.soakp.test'), { kind: 'refused', message: /alias/ })
  })
}

function openWithoutKey(server: NameServer) {
  const credentials = { RFC2136_NAMESERVER: new Secret(server.host) }
  return createProvider({ credentials, apiUrl: undefined, clock: systemClock })
}

test('Knot takes our updates', { skip: needsKnot() }, async (t) => {
  const server = await startKnot(t, { zones, keys, readOnly: ['locked.test'] })
  await behave(t, server)
  await server.stop()
  const provider = await open(server)
  const fault = { kind: 'unreachable', message: /cannot be reached \(ECONNREFUSED\).*RFC2136_NAMESERVER/ }
  await t.rejects(provider.add({ zone, name: NAME, value: 'never' }, signal), fault)
})

test('BIND takes our updates', { skip: needsBind() }, async (t) => {
  await behave(t, await startBind(t, { zones, keys, readOnly: ['locked.test'] }))
})
