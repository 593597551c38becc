import { randomBytes, randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { makeCase } from './cases.ts'
import type { FuzzCase } from './cases.ts'
import { fuzz } from './fuzz.ts'
import { startFuzzedSoakp } from './soakp.ts'
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
  const startedAt = performance.now()
  const { cases, failures } = await fuzz(soakp, {
    seed,
    count,
    only,
    onProgress: (done) => void (done % 10_000 === 0 && console.log(`${done} cases, ${secondsSince(startedAt)} s`)),
  })
  const { count: wrong, first = '' } = upstream.wrong()
  const all = [...failures]
  if (wrong > 0) all.push({ index: 0, kind: 'wrong upstream request', detail: first })
  for (const { index, kind, detail } of all) {
    // Of an end of the process one does not know which case it was.
    const again = kind === 'exit' ? `--count ${index + 1}` : `--only ${index}`
    console.log(`\n${kind} in case ${index}, again by: npm run fuzz -- --seed ${seed} ${again}\n  ${detail}`)
  }
  const countOf = (kind: string) => all.filter((failure) => failure.kind === kind).length
  console.log(
    `${cases} cases in ${secondsSince(startedAt)} s: exits ${countOf('exit')}, hangs ${countOf('hang')}, key bytes in any output ${countOf('leak')}, wrong answers ${countOf('wrong answer')}, wrong upstream requests ${wrong}`,
  )
  await soakp.close()
  upstream.close()
  process.exitCode = all.length === 0 ? 0 : 1
}

/** Prints what the client of a case does. */
function show({ kind, isHttp2, reads, leaves, steps }: FuzzCase): void {
  console.log(`${kind}, HTTP/${isHttp2 ? 2 : 1}, the client reads: ${reads}, and leaves: ${leaves}`)
  for (const step of steps) {
    console.log(typeof step === 'number' ? `  waits ${step} ms` : `  ${JSON.stringify(step.toString('latin1'))}`)
  }
}

function secondsSince(startedAt: number): string {
  return ((performance.now() - startedAt) / 1_000).toFixed(1)
}

await main()
