import { test } from 'tap'
import type { Test } from 'tap'
import { createLocalRenewal } from '../../services/local-renewal.ts'
import { eventually } from '../support/wire.ts'

/** A renewal whose certificates are numbers, each good for 90 units of a time that the test sets. */
function start(t: Test, use: (cert: string) => Promise<void> = async () => undefined) {
  const clock = { now: 0 }
  const issued: number[] = []
  const used: string[] = []
  const failures: unknown[] = []
  const renewal = createLocalRenewal({
    async issue(now) {
      issued.push(now.getTime())
      return { cert: `certificate ${issued.length}`, key: '', renewAt: now.getTime() + 60 }
    },
    async use({ cert }) {
      await use(cert)
      used.push(cert)
    },
    fail: (error) => void failures.push(error),
    now: () => clock.now,
    pollMs: 1,
  })
  t.teardown(() => renewal.close())
  return { clock, issued, used, failures, renewal }
}

/** Waits until the time was looked at a few times. */
const looks = () => new Promise((resolve) => setTimeout(resolve, 20))

test('the next local certificate comes when two thirds of the time are over, and not before', async (t) => {
  const { clock, issued, used, renewal } = start(t)
  t.equal(renewal.isOn, false)
  await renewal.begin()
  t.match([renewal.isOn, used], [true, ['certificate 1']])
  clock.now = 59
  await looks()
  t.same(issued, [0])
  clock.now = 60
  await eventually('the second is used', () => used.length === 2)
  clock.now = 120
  await eventually('the third is used', () => used.length === 3)
  renewal.close()
  clock.now = 1_000
  await looks()
  t.same(issued, [0, 60, 120], 'none is issued after the end')
})

test('a renewal that fails is told of and tried again', async (t) => {
  let isBroken = false
  const use = async () => {
    if (isBroken) throw new Error('broken')
  }
  const { clock, used, failures, renewal } = start(t, use)
  await renewal.begin()
  isBroken = true
  clock.now = 60
  await eventually('it is told', () => failures.length > 0)
  isBroken = false
  await eventually('the next is used', () => used.length === 2)
})

test('another certificate that takes its place ends it, one that fails to does not', async (t) => {
  const { clock, issued, renewal } = start(t)
  await renewal.begin()
  await t.rejects(
    renewal.giveWay(() => Promise.reject(new Error('refused'))),
    /refused/,
  )
  t.equal(renewal.isOn, true)
  await renewal.giveWay(async () => {
    clock.now = 60
    await looks()
    t.same(issued, [0], 'nothing comes in between')
  })
  t.equal(renewal.isOn, false)
  clock.now = 1_000
  await looks()
  t.same(issued, [0])
})

test('what is just being issued is not used when another has taken its place meanwhile', async (t) => {
  const release = Promise.withResolvers<void>()
  const used: string[] = []
  let calls = 0
  const clock = { now: 0 }
  const renewal = createLocalRenewal({
    async issue() {
      calls += 1
      if (calls === 2) await release.promise
      return { cert: `certificate ${calls}`, key: '', renewAt: 60 }
    },
    use: async ({ cert }) => void used.push(cert),
    fail: (error) => t.fail(String(error)),
    now: () => clock.now,
    pollMs: 1,
  })
  t.teardown(() => renewal.close())
  await renewal.begin()
  clock.now = 60
  await eventually('the second is being issued', () => calls >= 2)
  await renewal.giveWay(async () => undefined)
  release.resolve()
  await looks()
  t.same(used, ['certificate 1'])
})
