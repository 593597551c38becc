import type { Test } from 'tap'
import type { Faults } from '../dns-benches/bench.ts'
import { failureOf, testWhere } from './subject.ts'
import type { Subject } from './subject.ts'

/** Tests what happens when the service fails, is busy, silent, or written to by somebody else. */
export async function testFaults(t: Test, subject: Subject, faults: Faults): Promise<void> {
  const { bench, put, take, values, addOnce, removeOnce, waits } = subject

  for (const fault of ['failWrite', 'loseAnswer', 'resetAfterWrite'] as const) {
    await t.test(`a write that ends in ${fault} is repeated until there is exactly one value, or none`, async (s) => {
      const name = `_acme-challenge.${fault.toLowerCase()}.example.com`
      const expected = { code: 'SOAKP_DNS_UNREACHABLE', kind: 'unreachable' }
      faults[fault]()
      await s.rejects(addOnce(name, 'value'), expected)
      await put(name, 'value')
      s.same(await values(s, name), ['value'], 'repeated by the caller')
      faults[fault]()
      await s.rejects(removeOnce(name, 'value'), expected)
      await take(name, 'value')
      s.same(await values(s, name), [], 'removed by the caller')
      faults[fault]()
      await put(name, 'value')
      s.same(await values(s, name), ['value'], 'repeated by the core')
      faults[fault]()
      await take(name, 'value')
      s.same(await values(s, name), [], 'removed by the core')
    })
  }

  const keepsMany = subject.provider.valuesPerName === 'many'
  await testWhere(t, keepsMany, 'what another program writes at the same moment is kept, and so is ours', async (s) => {
    const name = '_acme-challenge.race.example.com'
    await bench.write(name, 'theirs')
    const written: Promise<void>[] = []
    const race = (value: string) => faults.meanwhile(() => void written.push(bench.write(name, value)))
    race('theirs-too')
    await put(name, 'ours')
    await Promise.all(written)
    s.same(await values(s, name), ['ours', 'theirs', 'theirs-too'])
    race('and-again')
    await take(name, 'ours')
    await Promise.all(written)
    s.same(await values(s, name), ['and-again', 'theirs', 'theirs-too'])
    s.equal(written.length, 2, 'it did happen')
  })

  await testWhere(
    t,
    faults.limit !== undefined,
    'too many calls are told as such, with the wait that is asked for',
    async (s) => {
      const name = '_acme-challenge.limit.example.com'
      faults.limit?.(7)
      const error = await failureOf(addOnce(name, 'value'))
      s.match(error, {
        code: 'SOAKP_DNS_LIMIT',
        kind: 'limit',
        retryAfterMs: faults.tellsWait === false ? undefined : 7000,
      })
      waits.length = 0
      faults.limit?.(7)
      await put(name, 'value')
      s.ok((waits[0] ?? 0) >= (error.retryAfterMs ?? 1), 'and it is waited for')
      s.same(await values(s, name), ['value'])
      await take(name, 'value')
    },
  )

  await testWhere(t, faults.silence !== undefined, 'an abort during a call rejects at once', async (s) => {
    const name = '_acme-challenge.abort.example.com'
    const reason = new Error('stopped')
    const controller = new AbortController()
    faults.silence?.()
    const begin = performance.now()
    const writing = addOnce(name, 'value', controller.signal)
    setTimeout(() => controller.abort(reason), 50)
    await s.rejects(writing, reason)
    s.ok(performance.now() - begin < 2000, 'long before a time-out')
    await put(name, 'value')
    s.same(await values(s, name), ['value'], 'and the next call works')
    await take(name, 'value')
  })
}
