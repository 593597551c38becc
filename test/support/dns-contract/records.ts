import type { Test } from 'tap'
import type { Subject } from './subject.ts'
import { never, testWhere } from './subject.ts'

/** Tests which zone a name is in. */
export async function testZones(t: Test, { provider }: Subject): Promise<void> {
  const tellsZones = provider.findZone !== undefined
  await testWhere(t, tellsZones, 'the zone is the longest one that ends the name at a label boundary', async (s) => {
    const found = async (name: string) => (await provider.findZone?.(name, never))?.name
    s.equal(await found('_acme-challenge.example.com'), 'example.com')
    s.equal(await found('example.com'), 'example.com')
    s.equal(await found('_acme-challenge.a.b.sub.example.com'), 'sub.example.com')
    s.equal(await found('_acme-challenge.deep.sub.example.com'), 'deep.sub.example.com')
    s.equal(await found('_acme-challenge.hidden.example.com'), 'example.com')
    s.equal(await found('_acme-challenge.www.ple.com'), 'ple.com')
    s.equal(await found('_acme-challenge.myexample.com'), undefined)
    s.equal(await found('_acme-challenge.example.net'), undefined)
    s.equal(await found('_acme-challenge.example.org'), undefined)
  })
}

/** Tests that values are written and removed one by one, whatever they are and wherever they go. */
export async function testRecords(t: Test, subject: Subject): Promise<void> {
  const { provider, bench, put, take, values, addOnce, removeOnce } = subject

  await t.test('adding and removing may be repeated', async (s) => {
    const name = '_acme-challenge.twice.example.com'
    await addOnce(name, 'once')
    await put(name, 'once')
    if (provider.writes === 'values') await addOnce(name, 'once')
    s.same(await values(s, name), ['once'])
    await removeOnce(name, 'once')
    await take(name, 'once')
    await removeOnce(name, 'once')
    s.same(await values(s, name), [])
  })

  const keepsMany = provider.valuesPerName === 'many'
  await testWhere(t, keepsMany, 'two values stand at one name, and each goes by itself', async (s) => {
    const name = '_acme-challenge.both.sub.example.com'
    await Promise.all([put(name, 'of-the-name'), put(name, 'of-the-wildcard')])
    s.same(await values(s, name), ['of-the-name', 'of-the-wildcard'])
    await take(name, 'of-the-name')
    s.same(await values(s, name), ['of-the-wildcard'])
    await take(name, 'of-the-wildcard')
    s.same(await values(s, name), [])
  })

  await testWhere(t, keepsMany, 'what is not ours stays byte for byte, at the same name and beside it', async (s) => {
    const name = '_acme-challenge.shared.example.com'
    const foreign = ['zz "quoted" \\ back', 'v=spf1 -all', 'é ünïcode', 'x'.repeat(300)]
    for (const value of foreign) await bench.write(name, value)
    await bench.write('shared.example.com', 'ours')
    const before = await bench.snapshot()
    await put(name, 'ours')
    await put(name, 'ours-too')
    s.same(await values(s, name), [...foreign, 'ours', 'ours-too'].toSorted())
    await take(name, 'ours')
    await take(name, 'ours-too')
    s.equal(await bench.snapshot(), before)
  })

  await t.test('every text that DNS can hold comes back as it was', async (s) => {
    const long = `${'long'.repeat(70)}é`
    const texts = ['a b', 'say "yes"', 'back\\slash\\', '\\032', '"', 'ä€😀', long, ' padded ', '-x', 'a;b', "it's"]
    for (const [index, text] of texts.entries()) {
      const name = `_acme-challenge.text${index}.example.com`
      await put(name, text)
      s.same(await values(s, name), [text], text.slice(0, 20))
      await take(name, text)
      s.same(await values(s, name), [], `${text.slice(0, 20)} is gone`)
    }
  })

  await t.test('underscores, wildcards, deep names and the apex are written where they belong', async (s) => {
    const deep = 'a.b.c.d.e.f.sub.example.com'
    for (const name of ['_acme-challenge._tcp.example.com', '*.acme.example.com', deep, 'example.com']) {
      await put(name, 'here')
      s.same(await values(s, name), ['here'], name)
      await take(name, 'here')
      s.same(await values(s, name), [], name)
    }
  })

  await testWhere(t, provider.settle !== undefined, 'what was written settles', async (s) => {
    const name = '_acme-challenge.settle.example.com'
    const zone = await subject.zoneOf(name)
    await put(name, 'value')
    await s.resolves(Promise.resolve(provider.settle?.(zone, never)))
    await take(name, 'value')
    const stopped = new Error('stopped')
    await s.rejects(Promise.resolve(provider.settle?.(zone, AbortSignal.abort(stopped))), stopped)
    await s.resolves(Promise.resolve(provider.settle?.(zone, never)), 'and what was not waited for can be')
  })
}
