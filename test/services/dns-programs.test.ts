import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { runProgram } from '../../services/dns-core/program.ts'
import { createProvider as createExec } from '../../services/dns/exec.ts'
import { createProvider as createHttpreq } from '../../services/dns/httpreq.ts'
import { optionsOf } from '../support/dns-benches/bench.ts'
import { failureOf } from '../support/dns-contract/subject.ts'
import { startHttpreq } from '../support/dns-fakes/httpreq.ts'
import { temporaryFolder } from '../support/soakp.ts'

const signal = new AbortController().signal
const record = { zone: { name: 'example.com' }, name: '_acme-challenge.example.com', value: '-e $(id) ; `id` "x"' }

async function script(t: Test, text: string) {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'a program')
  await writeFile(file, `#!/bin/sh\n${text}\n`)
  await chmod(file, 0o700)
  const read = async () => readFile(join(folder, 'out'), 'utf8')
  return { folder, file, read, provider: createExec(optionsOf({ EXEC_PATH: file })) }
}

test('the program gets its three arguments as they are, and nothing of our environment', async (t) => {
  process.env['CANARY_OF_EXEC'] = 'canary'
  t.teardown(() => delete process.env['CANARY_OF_EXEC'])
  const { provider, read } = await script(
    t,
    'printf "%s|" "$#" "$@" > "$(dirname "$0")/out"; env | grep -v -e _TAPJS_ -e ^/ >> "$(dirname "$0")/out"; pwd >> "$(dirname "$0")/out"',
  )
  await provider.add(record, signal)
  const [args = '', ...environment] = (await read()).trimEnd().split('\n')
  t.match(args, '3|present|_acme-challenge.example.com.|-e $(id) ; `id` "x"|')
  t.notMatch(environment.join('\n'), /canary/i)
  t.equal(environment.at(-1), '/')
  await provider.remove(record, signal)
  t.match(await read(), /^3\|cleanup\|/)
})

test('a program that fails is told with the last line of its standard error, cut and without control characters', async (t) => {
  const { provider, file } = await script(
    t,
    'echo first >&2; printf "the \\033[31mlast\\007 line\\n\\n" >&2; echo not this; exit 3',
  )
  const error = await failureOf(provider.add(record, signal))
  t.match(error, {
    kind: 'refused',
    message: `${file} present _acme-challenge.example.com. ended with code 3. It said: the [31mlast line`,
  })
  const long = await script(
    t,
    'head -c 2000 /dev/zero | tr "\\0" a >&2; head -c 4096 /dev/zero | tr "\\0" b >&2; exit 1',
  )
  t.match(await failureOf(long.provider.add(record, signal)), { message: /It said: b{300}$/ }, 'only the end is kept')
  const loud = await script(t, 'head -c 3000000 /dev/zero | tr "\\\\0" x >&2; head -c 3000000 /dev/zero; exit 1')
  t.ok((await failureOf(loud.provider.add(record, signal))).message.length < 600)
})

test('exit code 75 and a signal ask for another try, other codes do not', async (t) => {
  t.match(await failureOf((await script(t, 'exit 75')).provider.add(record, signal)), { kind: 'unreachable' })
  t.match(await failureOf((await script(t, 'kill -9 $$')).provider.add(record, signal)), {
    kind: 'unreachable',
    message: /SIGKILL/,
  })
  t.match(await failureOf((await script(t, 'exit 1')).provider.add(record, signal)), { kind: 'refused' })
})

test('a program that cannot be run is told as such', async (t) => {
  const missing = createExec(optionsOf({ EXEC_PATH: '/nowhere/program' }))
  t.match(await failureOf(missing.add(record, signal)), { kind: 'refused', message: /could not be run \(ENOENT\)/ })
  const { file, provider } = await script(t, 'exit 0')
  await chmod(file, 0o600)
  t.match(await failureOf(provider.add(record, signal)), { kind: 'refused', message: /EACCES.*executable/ })
  t.match(await failureOf(provider.add({ ...record, value: 'a\0b' }, signal)), { kind: 'refused' })
  t.throws(() => createExec(optionsOf({ EXEC_PATH: 'program' })), { kind: 'credentials', message: /absolute/ })
  t.throws(() => createExec(optionsOf({ EXEC_PATH: file, EXEC_MODE: 'RAW' })), {
    kind: 'credentials',
    message: /EXEC_MODE/,
  })
})

test('programs run one at a time, and one that waits for its turn can be aborted', async (t) => {
  const text =
    'cd "$(dirname "$0")"; mkdir lock || exit 9; echo "$3" >> out; while [ -e hold ]; do sleep 0.02; done; rmdir lock'
  const { folder, provider, read } = await script(t, text)
  await writeFile(join(folder, 'hold'), '')
  const reason = new Error('stopped')
  const controller = new AbortController()
  const first = provider.add({ ...record, value: '1' }, signal)
  const second = provider.add({ ...record, value: '2' }, controller.signal)
  const third = provider.add({ ...record, value: '3' }, signal)
  controller.abort(reason)
  await t.rejects(second, reason, 'while the first still runs')
  await run(folder, 'while [ ! -e out ]; do sleep 0.02; done; rm hold')
  await Promise.all([first, third])
  t.equal(await read(), '1\n3\n')
})

test('an abort and a time-out kill the program with all that it has started', async (t) => {
  const { folder, file } = await script(t, 'cd "$(dirname "$0")"; sleep 600 & echo $! > new; mv new sleeper; wait')
  const sleeper = async () => {
    await run(folder, 'while [ ! -e sleeper ]; do sleep 0.02; done')
    const pid = (await readFile(join(folder, 'sleeper'), 'utf8')).trim()
    await run(folder, 'rm sleeper')
    return pid
  }
  const isGone = (pid: string) =>
    run(folder, `while [ -d /proc/${pid} ] && ! grep -q "^State:.[ZX]" /proc/${pid}/status; do sleep 0.02; done`)
  const reason = new Error('stopped')
  const controller = new AbortController()
  const running = runProgram(file, [], { timeoutMs: 60_000, signal: controller.signal })
  const pid = await sleeper()
  controller.abort(reason)
  await t.rejects(running, reason)
  await t.resolves(isGone(pid), 'aborted')
  const end = await runProgram(file, [], { timeoutMs: 300, signal })
  t.match(end, { how: 'timed out' })
  await t.resolves(isGone(await sleeper()), 'timed out')
})

/** Runs a line of shell in a folder. */
const run = async (folder: string, line: string) =>
  runProgram('/bin/sh', ['-c', `cd ${folder} && { ${line}; }`], { timeoutMs: 20_000, signal })

test('what a program leaves behind does not hold the call up', async (t) => {
  const { file } = await script(t, 'sleep 3 & exit 0')
  const begin = performance.now()
  t.match(await runProgram(file, [], { timeoutMs: 60_000, signal }), { how: 'ended', code: 0 })
  t.ok(performance.now() - begin < 2500)
})

test('httpreq posts the name with its last dot and the value, with the password', async (t) => {
  const fake = await startHttpreq(t)
  const login = { HTTPREQ_USERNAME: fake.username, HTTPREQ_PASSWORD: fake.password }
  const provider = createHttpreq(optionsOf({ HTTPREQ_ENDPOINT: `${fake.url}/`, ...login }))
  t.teardown(() => provider.close?.())
  await provider.add(record, signal)
  const [call] = fake.calls
  t.match(call, { method: 'POST', path: '/present', headers: { 'content-type': 'application/json' } })
  t.same(JSON.parse(`${call?.body}`), { fqdn: '_acme-challenge.example.com.', value: record.value })
  t.throws(() => createHttpreq(optionsOf({ HTTPREQ_ENDPOINT: fake.url, HTTPREQ_MODE: 'RAW' })), {
    message: /HTTPREQ_MODE/,
  })
  t.throws(() => createHttpreq(optionsOf({ HTTPREQ_ENDPOINT: 'http://dns.example.com' })), {
    message: /HTTPREQ_ENDPOINT must be https/,
  })
  const beside = createHttpreq(optionsOf({ HTTPREQ_ENDPOINT: fake.url, ...login }, 'https://api.cloudflare.test'))
  t.teardown(() => beside.close?.())
  await t.resolves(beside.add(record, signal), "another provider's API does not get the password")
  const open = createHttpreq(optionsOf({ HTTPREQ_ENDPOINT: fake.url }))
  t.teardown(() => open.close?.())
  t.match(await failureOf(open.add(record, signal)), { kind: 'credentials', message: /HTTPREQ_USERNAME/ })
})
