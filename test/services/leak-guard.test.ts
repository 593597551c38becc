import { test } from 'tap'
import { createLeakGuard } from '../../services/leak-guard.ts'
import { words } from '../../services/words.ts'

interface Passed {
  readonly out: Buffer
  /** Whether the key appeared. */
  readonly stopped: boolean
}

/**
 * Sends chunks through a guard and checks its promise after each: what has left is the beginning of what came, and what
 * is held back is a beginning of the key and as little as possible.
 */
function pass(key: string, chunks: readonly Buffer[]): Passed {
  const guard = createLeakGuard(key)
  const needle = Buffer.from(key)
  let [came, out] = [Buffer.alloc(0), Buffer.alloc(0)]
  for (const chunk of chunks) {
    came = Buffer.concat([came, chunk])
    const safe = guard.push(Buffer.from(chunk))
    if (safe === undefined) return { out, stopped: true }
    out = Buffer.concat([out, safe])
    const held = came.subarray(out.length)
    if (!came.subarray(0, out.length).equals(out)) throw new Error('other bytes left than came')
    if (held.length >= needle.length) throw new Error('more was held back than a beginning of the key')
    if (!needle.subarray(0, held.length).equals(held)) throw new Error('bytes were held back that cannot begin the key')
  }
  return { out: Buffer.concat([out, guard.rest()]), stopped: false }
}

const split = (body: Buffer, ...at: number[]) =>
  [0, ...at].map((start, index) => body.subarray(start, at[index] ?? body.length))

test('the key is found however it is split, and not one byte of it leaves', (t) => {
  for (const key of ['sk-proj-canary-77aa31', 'sk-sk-sk-sk-x', 'aaaaaaab', 'abababac', 'aaaaaaaa']) {
    const begin = 'data: {"x":"'
    const body = Buffer.from(`${begin}${key}"}\n\ndata: [DONE]\n\n`)
    const splits: Buffer[][] = [[body], Array.from(body, (byte) => Buffer.of(byte))]
    for (let first = 0; first <= body.length; first += 1) {
      splits.push(split(body, first))
      for (let second = first; second <= body.length; second += 1) splits.push(split(body, first, second))
    }
    const bad = splits.filter((chunks) => {
      const { out, stopped } = pass(key, chunks)
      return !stopped || out.length > begin.length || !body.subarray(0, out.length).equals(out)
    })
    t.same(bad, [], `${splits.length} splits of ${key}`)
  }
  t.end()
})

test('a key that only almost appears changes nothing, and what was held back comes out at the end', (t) => {
  const key = 'sk-sk-sk-key'
  const almost = [
    '',
    ...words('s sk-sk-sk-ke sk-sk-sk-sk-sk-sk-ke sk-sk-sk-kez SK-SK-SK-KEY yek-ks-ks-ks sk-sk-sk-kk-key'),
  ]
  almost.push(key.slice(1), 'sk-sk-sk- key', `${key.slice(0, -1)}\0`, 's'.repeat(1_000), 'sk-'.repeat(1_000))
  const bodies = almost.map((each) => Buffer.from(each))
  for (const body of bodies) {
    for (let at = 0; at <= Math.min(body.length, 40); at += 1) {
      const { out, stopped } = pass(key, split(body, at))
      t.same([out.equals(body), stopped], [true, false])
    }
    t.ok(
      pass(
        key,
        Array.from(body, (byte) => Buffer.of(byte)),
      ).out.equals(body),
      `${body.length} bytes one by one`,
    )
  }
  t.end()
})

/** A small generator (xorshift) with a seed, so that a failure comes back. */
function createRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

test('2,000 random bodies pass byte for byte unless the key is in them', (t) => {
  const random = createRandom(20_261_124)
  const letters = 'sk-ab'
  const text = (length: number, variety: number) =>
    Array.from({ length }, () => letters[random(variety)] ?? '').join('')
  let leaks = 0
  for (let number = 0; number < 2_000; number += 1) {
    const variety = 2 + random(4)
    const key = text(8 + random(5), variety)
    const withKey = random(2) === 0 ? key : ''
    const body = Buffer.from(text(random(300), variety) + withKey + text(random(300), variety))
    const cuts = Array.from({ length: random(12) }, () => random(body.length + 1)).toSorted((a, b) => a - b)
    const { out, stopped } = pass(key, split(body, ...cuts))
    const at = body.indexOf(key)
    if (at === -1 ? stopped || !out.equals(body) : !stopped || out.length > at) t.fail(`body ${number} with key ${key}`)
    if (at !== -1) leaks += 1
  }
  t.ok(leaks > 900 && leaks < 1_900, `${leaks} of them had the key`)
  t.end()
})

test('the guard finds the key in one piece of bytes, and forgets it at the end', (t) => {
  const guard = createLeakGuard('sk-canary-9')
  t.equal(guard.isIn(Buffer.from('xsk-canary-9x')), true)
  t.equal(guard.isIn(Buffer.from('sk-canary-')), false)
  guard.end()
  t.equal(guard.isIn(Buffer.from('xsk-canary-9x')), false)
  t.end()
})
