import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { createDailyCounts } from '../../services/daily-counts.ts'
import { createLiveCalls } from '../../services/live-calls.ts'
import { openStore } from '../../services/stores/index.ts'
import type { Store } from '../../services/stores/index.ts'
import { WindowStore } from '../../services/window-store.ts'

const MINUTE_MS = 60_000
const MIDNIGHT = 20_000 * 86_400

/** Calls a store as @fastify/rate-limit does. */
function ask(store: WindowStore, method: 'incr' | 'read', key: string, windowMs = MINUTE_MS) {
  let answer: { current: number; ttl: number } | undefined
  store[method](key, (_error, result) => (answer = result), windowMs)
  return answer
}

test('a window counts from the first request of a key and ends when the clock says so', (t) => {
  const clock = { ms: 5_000.5 }
  const store = new WindowStore({ nowMs: () => clock.ms })
  t.same(ask(store, 'read', 'a'), { current: 0, ttl: MINUTE_MS }, 'an unknown key has its whole window')
  t.same(ask(store, 'incr', 'a'), { current: 1, ttl: MINUTE_MS })
  clock.ms += 20_000
  t.same(ask(store, 'incr', 'a'), { current: 2, ttl: 40_000 })
  t.same(ask(store, 'incr', 'b'), { current: 1, ttl: MINUTE_MS }, 'another key counts for itself')
  t.same(ask(store, 'read', 'a'), { current: 2, ttl: 40_000 })
  t.same(ask(store, 'read', 'a'), { current: 2, ttl: 40_000 }, 'reading counts nothing')
  clock.ms += 39_999
  t.same(ask(store, 'incr', 'a'), { current: 3, ttl: 1 }, 'a refused request does not lengthen the wait')
  clock.ms += 1
  t.same(ask(store, 'read', 'a'), { current: 0, ttl: MINUTE_MS })
  t.same(ask(store, 'incr', 'a'), { current: 1, ttl: MINUTE_MS })
  t.same(ask(store, 'incr', 'b'), { current: 2, ttl: 20_000 })
  t.end()
})

test('every limiter counts for itself, on the same clock', (t) => {
  const clock = { ms: 0 }
  const store = new WindowStore({ nowMs: () => clock.ms })
  const [first, second] = [store.child(), store.child()]
  ask(first, 'incr', 'a')
  t.equal(ask(second, 'incr', 'a')?.current, 1)
  t.equal(ask(store, 'read', 'a')?.current, 0)
  clock.ms = MINUTE_MS - 1
  t.equal(ask(first, 'incr', 'a')?.current, 2)
  clock.ms = MINUTE_MS
  t.equal(ask(first, 'incr', 'a')?.current, 1)
  t.end()
})

test('setting the clock of the machine back or forth resets no window', (t) => {
  const { now } = Date
  t.teardown(() => (Date.now = now))
  const store = new WindowStore()
  ask(store, 'incr', 'a')
  for (const time of [0, 9e12, -1]) {
    Date.now = () => time
    const { current = 0, ttl = 0 } = ask(store, 'incr', 'a') ?? {}
    t.ok(current > 1 && ttl > 0 && ttl <= MINUTE_MS)
  }
  t.equal(ask(store, 'read', 'a')?.current, 4)
  t.end()
})

test('99,999 other addresses do not make a blocked one forgotten', (t) => {
  const store = new WindowStore({ nowMs: () => 0 })
  for (let time = 0; time < 50; time += 1) ask(store, 'incr', 'blocked')
  for (let number = 0; number < 99_999; number += 1) ask(store, 'incr', `address ${number}`)
  t.equal(ask(store, 'read', 'blocked')?.current, 50)
  t.end()
})

async function setUpCounts(t: Test) {
  const file = join(t.testdir(), 'soakp.db')
  const store = await openStore('sqlite', { file, key: 'ab'.repeat(48) })
  t.teardown(() => store.close())
  const token = {
    key_id: 'k',
    subject: null,
    name: null,
    policy: '{}',
    created_at: 1,
    expires_at: 9e9,
    revoked_at: null,
  }
  for (const id of ['tok_A', 'tok_B']) await store.insertToken({ ...token, id }, [])
  const clock = { time: MIDNIGHT - 10 }
  const now = () => clock.time
  const failures = { left: 0, day: 0 }
  const faulty: Store = {
    ...store,
    addRequests: async (day, counts) => {
      if (failures.left > 0) throw new Error(`disk full, ${(failures.left -= 1)} more times`)
      if (day === failures.day) throw new Error('disk full on that day')
      await store.addRequests(day, counts)
    },
  }
  return {
    store,
    clock,
    failures,
    counts: createDailyCounts(faulty, now),
    restarted: () => createDailyCounts(store, now),
  }
}

const add = (counts: { add(id: string): void }, id: string, times: number) => {
  for (let time = 0; time < times; time += 1) counts.add(id)
}

test('requests are counted by token, written when told to, and go on after a restart', async (t) => {
  const { counts, restarted } = await setUpCounts(t)
  add(counts, 'tok_A', 3)
  add(counts, 'tok_B', 1)
  t.same([counts.today('tok_A'), counts.today('tok_B'), counts.today('tok_C')], [3, 1, 0])
  t.equal(restarted().today('tok_A'), 0, 'nothing is written before that')
  await counts.flush()
  await counts.flush()
  const later = restarted()
  t.same([later.today('tok_A'), later.today('tok_B')], [3, 1], 'written once')
  add(later, 'tok_A', 2)
  t.equal(later.today('tok_A'), 5)
  await later.flush()
  t.equal(restarted().today('tok_A'), 5)
})

test('a day ends at midnight UTC, and what is written after midnight is still of the day before', async (t) => {
  const { counts, clock, store, restarted } = await setUpCounts(t)
  t.equal(counts.secondsLeft(), 10)
  add(counts, 'tok_A', 3)
  clock.time = MIDNIGHT - 1
  t.same([counts.today('tok_A'), counts.secondsLeft()], [3, 1])
  clock.time = MIDNIGHT
  t.same([counts.today('tok_A'), counts.secondsLeft()], [0, 86_400], 'a new day begins at nothing')
  add(counts, 'tok_A', 1)
  await counts.flush()
  t.same([store.readRequests('tok_A', 19_999), store.readRequests('tok_A', 20_000)], [3, 1])
  t.same([counts.today('tok_A'), restarted().today('tok_A')], [1, 1], 'a restart tells the same')
  clock.time += 86_400
  t.same([counts.today('tok_A'), restarted().today('tok_A')], [0, 0])
})

test('counts that could not be written are kept, across midnight too, and are written once', async (t) => {
  const { counts, clock, store, failures } = await setUpCounts(t)
  add(counts, 'tok_A', 2)
  failures.left = 2
  await t.rejects(counts.flush(), { message: /disk full/ })
  add(counts, 'tok_A', 1)
  clock.time = MIDNIGHT
  add(counts, 'tok_A', 5)
  add(counts, 'tok_B', 7)
  await t.rejects(counts.flush(), { message: /disk full/ })
  t.same([counts.today('tok_A'), counts.today('tok_B')], [5, 7], 'the limits hold all the while')
  await counts.flush()
  await counts.flush()
  t.same([store.readRequests('tok_A', 19_999), store.readRequests('tok_A', 20_000)], [3, 5])
  t.equal(store.readRequests('tok_B', 20_000), 7)
  failures.day = 20_001
  add(counts, 'tok_A', 1)
  clock.time = MIDNIGHT + 86_400
  add(counts, 'tok_A', 1)
  await t.rejects(counts.flush(), { message: /that day/ })
  failures.day = 0
  await counts.flush()
  t.same([store.readRequests('tok_A', 20_000), store.readRequests('tok_A', 20_001)], [6, 1], 'a day that was written')
})

test('writes that overlap lose nothing and count nothing twice', async (t) => {
  const { counts, store } = await setUpCounts(t)
  const writes: Promise<void>[] = []
  for (let round = 0; round < 20; round += 1) {
    add(counts, 'tok_A', 5)
    writes.push(counts.flush())
  }
  await writes.at(-1)
  t.equal(store.readRequests('tok_A', 19_999), 100, 'the last write waits for those before it')
  await Promise.all(writes)
  t.same([store.readRequests('tok_A', 19_999), counts.today('tok_A')], [100, 100])
})

test('running calls are counted by token and ended by token or by key', (t) => {
  const calls = createLiveCalls()
  const ended: string[] = []
  const run = (tokenId: string, keyId: string, name: string) => calls.add(tokenId, keyId, () => void ended.push(name))
  const over = run('tok_A', 'key_1', 'a1')
  run('tok_A', 'key_1', 'a2')
  run('tok_B', 'key_1', 'b1')
  const last = run('tok_C', 'key_2', 'c1')
  t.same([calls.count('tok_A'), calls.count('tok_B'), calls.count('tok_D'), calls.size], [2, 1, 0, 4])
  over()
  over()
  t.same([calls.count('tok_A'), calls.size], [1, 3], 'a call that is over twice is over once')
  calls.endToken('tok_D')
  calls.endKey('key_3')
  t.same(ended, [])
  calls.endToken('tok_A')
  t.same(ended, ['a2'], 'what is over is not ended')
  calls.endKey('key_2')
  t.same(ended, ['a2', 'c1'])
  last()
  t.equal(calls.count('tok_C'), 0)
  const again = run('tok_C', 'key_2', 'c2')
  last()
  t.same([calls.count('tok_C'), calls.size], [1, 3], 'an old call that is over again takes no new one along')
  again()
  t.equal(calls.size, 2)
  t.end()
})

test('calls that leave the list while they are ended are all ended', (t) => {
  const calls = createLiveCalls()
  let ended = 0
  for (let number = 0; number < 100; number += 1) {
    const remove = calls.add('tok_A', 'key_1', () => {
      ended += 1
      remove()
    })
  }
  calls.endToken('tok_A')
  t.same([ended, calls.count('tok_A'), calls.size], [100, 0, 0])
  t.end()
})
