import { readdir } from 'node:fs/promises'
import { test } from 'tap'
import type { Test } from 'tap'
import { dnsProviders } from '../../services/dns-variables.ts'
import { openProvider, providerNames } from '../../services/dns/index.ts'
import type { DnsProvider } from '../../services/dns/index.ts'
import type { Bench } from '../support/dns-benches/bench.ts'
import { benches } from '../support/dns-benches/index.ts'
import { samples } from '../support/dns-benches/samples.ts'
import { testMissingCredentials, testWrongCredentials } from '../support/dns-contract/credentials.ts'
import { testFaults } from '../support/dns-contract/faults.ts'
import { testRecords, testZones } from '../support/dns-contract/records.ts'
import { createSubject } from '../support/dns-contract/subject.ts'

test('every file of services/dns is in its index, in the table of variables and in the table of benches', async (t) => {
  const files = (await readdir(new URL('../../services/dns', import.meta.url))).map((file) => file.replace('.ts', ''))
  const providers = files.filter((file) => file !== 'index').toSorted()
  t.same([...providerNames].toSorted(), providers)
  t.same(Object.keys(dnsProviders).toSorted(), providers)
  t.same(Object.keys(benches).toSorted(), providers)
})

for (const name of providerNames) {
  test(`${name}: without its variables it does not open, and says what to set`, (t) => testMissingCredentials(t, name))

  const setup = benches[name]
  test(`${name} keeps the contract of a DNS provider`, { skip: setup.isMissing }, async (t) => {
    const bench = await setup.start(t)
    await testContract(t, name, await openProvider(name, bench.options), bench)
    const { wrong } = bench
    if (wrong === undefined) return
    await t.test('wrong credentials are told in a sentence that holds none of them', (s) =>
      testWrongCredentials(s, name, wrong),
    )
  })
}

for (const [kind, open] of Object.entries(samples)) {
  test(`the sample provider of the kind "${kind}" keeps it, too`, async (t) => {
    const { provider, bench } = open()
    await testContract(t, 'sample', provider, bench)
  })
}

async function testContract(t: Test, name: string, provider: DnsProvider, bench: Bench): Promise<void> {
  const subject = createSubject(name, provider, bench)
  await testZones(t, subject)
  await testRecords(t, subject)
  if (bench.faults !== undefined) await testFaults(t, subject, bench.faults)
  await t.test('an aborted signal is obeyed before anything is sent', async (s) => {
    const reason = new Error('stopped')
    const record = '_acme-challenge.aborted.example.com'
    await s.rejects(subject.addOnce(record, 'value', AbortSignal.abort(reason)), reason)
    s.same(await subject.values(s, record), [])
  })
  await t.test('closing may be repeated', async (s) => {
    await provider.close?.()
    await s.resolves(Promise.resolve(provider.close?.()))
  })
}
