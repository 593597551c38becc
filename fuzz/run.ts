import { randomBytes, randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { makeCase } from './cases.ts'
import type { FuzzCase } from './cases.ts'
import { fuzz } from './fuzz.ts'
import { startFuzzedSoakp } from './soakp.ts'
import type { FuzzedSoakp } from './soakp.ts'
import { startFuzzUpstream } from './upstream.ts'

/** Sends wrong requests, frames and answers to a SOAKP in a process of its own: `npm run fuzz -- --seed 1 --count 1000`. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, count: { type: 'string', default: '100000' }, only: { type: 'string' } },
  })
  const seed = values.seed === undefined ? randomInt(2 ** 31) : Number(values.seed)
  const count = Number(values.count)
  const only = values.only === undefined ? undefined : Number(values.only)
  if (![seed, count, only ?? 0].every(Number.isSafeInteger)) throw new Error('--seed, --count and --only are numbers.')
  console.log(`seed ${seed}, ${only === undefined ? `${count} cases` : `case ${only}`}`)

  const key = `sk-proj-canary-${randomBytes(24).toString('hex')}`
  const upstream = await startFuzzUpstream(seed, key)
  const soakp = await startFuzzedSoakp(upstream.url, key)
  if (only !== undefined) show(makeCase(seed, only, soakp))
  const filesBefore = await soakp.openFiles()
  const startedAt = performance.now()
  const { cases, failures } = await fuzz(soakp, {
    seed,
    count,
    only,
    onProgress: (done) => void (done % 10_000 === 0 && console.log(`${done} cases, ${secondsSince(startedAt)} s`)),
  })
  const { count: wrong, first = '' } = upstream.wrong()
  const left = await filesLeft(soakp, filesBefore)
  const all = [...failures]
  if (wrong > 0) all.push({ index: 0, kind: 'wrong upstream request', detail: first })
  if (left > 0) all.push({ index: 0, kind: 'hang', detail: `${left} connections or files were left open` })
  for (const { index, kind, detail } of all) {
    console.log(`\n${kind} in case ${index}, again by: npm run fuzz -- --seed ${seed} --only ${index}\n  ${detail}`)
  }
  const countOf = (kind: string) => all.filter((failure) => failure.kind === kind).length
  console.log(
    `${cases} cases in ${secondsSince(startedAt)} s: exits ${countOf('exit')}, hangs ${countOf('hang')}, key bytes in any output ${countOf('leak')}, wrong answers ${countOf('wrong answer')}, wrong upstream requests ${wrong}, connections left ${left}`,
  )
  await soakp.close()
  upstream.close()
  process.exitCode = all.length === 0 ? 0 : 1
}

/** Prints what the client of a case writes. */
function show({ kind, leaves, pieces }: FuzzCase): void {
  console.log(`${kind}, the client leaves: ${leaves}`)
  for (const piece of pieces) console.log(`  ${JSON.stringify(piece.toString('latin1'))}`)
}

/** Connections that are kept for a while. */
const KEPT = 20
const KEPT_MS = 20_000

/** Waits until nearly all is closed that was opened; returns how much is not. */
async function filesLeft(soakp: FuzzedSoakp, before: number): Promise<number> {
  const deadline = performance.now() + KEPT_MS
  for (;;) {
    const left = (await soakp.openFiles()) - before - KEPT
    if (left <= 0 || performance.now() > deadline) return Math.max(0, left)
    await setTimeout(100)
  }
}

function secondsSince(startedAt: number): string {
  return ((performance.now() - startedAt) / 1_000).toFixed(1)
}

await main()
