import { watch } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { startPracticeUpstream } from '../../practice/upstream.ts'
import { Unanswered, createClient, createRandom, fingerprintOf, operations } from './durability-calls.ts'
import type { Client, KnownKey, KnownToken, OperationName, Random } from './durability-calls.ts'
import { run, startServer } from './process.ts'
import type { ServerProcess } from './process.ts'
import { openDatabase, writeRootKey } from './raw-vault.ts'
import { ADMIN, temporaryFolder } from './soakp.ts'

const WORKERS = 8
const MIX = ['save', 'save', 'mint', 'mint', 'mint', 'revoke', 'revoke', 'replace', 'replace', 'delete'] as const
/** Kills come this many events (calls sent, calls answered) after the first call, at most. */
const MOST_EVENTS = 120
/** Keys that were not touched since the last kill are sampled; at the end all are checked. */
const SAMPLE = 10
/** A first start changes its data folder about this often. */
const MOST_CHANGES = 45

/**
 * Kills SOAKP `kills` times while it saves, mints, revokes, replaces and deletes, starts it again each time and asserts
 * that everything acknowledged is there, that the rest happened wholly or not at all, and that every key opens.
 */
export async function surviveKills(t: Test, kills: number, seed: number): Promise<void> {
  const random = createRandom(seed)
  const upstream = await startPracticeUpstream({ recordLimit: 0 })
  t.teardown(() => upstream.close())
  // Tells which value of the key it was called with, without saying it.
  upstream.handle('*', '/v1/models', ({ headers }, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ object: 'list', data: [], fingerprint: fingerprintOf(headers.authorization ?? '') }))
  })
  const folder = await temporaryFolder(t)
  const unseal = { kind: 'key-file', file: await writeRootKey(folder), make: false } as const
  const dataDir = join(folder, 'data')
  const environment = {
    SOAKP_DATA_DIR: dataDir,
    SOAKP_ROOT_KEY_FILE: unseal.file,
    SOAKP_ADMIN_TOKEN: ADMIN,
    SOAKP_TLS: 'off',
    SOAKP_UPSTREAM: upstream.url,
    SOAKP_LOG_LEVEL: 'silent',
  }
  const keys = new Map<string, KnownKey>()
  const done = { save: 0, mint: 0, revoke: 0, replace: 0, delete: 0, unanswered: 0 }

  for (let round = 0; round < kills; round++) {
    const server = await startServer(t, environment)
    const client = createClient(server)
    await check(t, client, keys, random, SAMPLE)
    await work(client, server, keys, random, done)
    client.close()
    const { signal } = await server.ended
    if (signal !== 'SIGKILL') throw new Error(`The server was not killed but ended: ${(await server.ended).stderr}`)
  }

  const server = await startServer(t, environment)
  const client = createClient(server)
  await check(t, client, keys, random, Number.POSITIVE_INFINITY)
  client.close()
  server.kill('SIGTERM')
  t.match(await server.ended, { code: 0 })
  const database = await openDatabase(dataDir, unseal)
  t.equal(database.pragma('integrity_check', { simple: true }), 'ok')
  database.close()
  const { unanswered, ...acknowledged } = done
  for (const [name, count] of Object.entries(acknowledged)) t.ok(count > kills / 4, `enough of ${name}: ${count}`)
  t.ok(unanswered > kills / 2, `enough calls were under way: ${unanswered}`)
  t.comment(`seed ${seed}, ${kills} kills, acknowledged: ${JSON.stringify(done)}, keys ${keys.size}`)
}

/**
 * Kills SOAKP in the middle of its first start, `kills` times in as many new folders, each time after another number of
 * changes in the data folder, and asserts that the next start makes it good.
 */
export async function surviveFirstStarts(t: Test, kills: number, seed: number): Promise<void> {
  const random = createRandom(seed)
  for (let round = 0; round < kills; round++) {
    const dataDir = join(await temporaryFolder(t), 'data')
    await mkdir(dataDir, { mode: 0o700 })
    const environment = { SOAKP_DATA_DIR: dataDir, SOAKP_PORT: '0', SOAKP_TLS: 'off', SOAKP_ADMIN_TOKEN: ADMIN }
    let changes = 1 + Math.floor((MOST_CHANGES * (round + random.below(1_000) / 1_000)) / kills)
    const soakp = run(t, process.execPath, ['bin/soakp.js', 'serve'], { environment })
    const watcher = watch(dataDir, () => {
      if (--changes === 0) soakp.kill('SIGKILL')
    })
    // Where there were fewer changes.
    soakp.printed(/ Next /).then(
      () => soakp.kill('SIGKILL'),
      () => undefined,
    )
    t.match(await soakp.ended, { signal: 'SIGKILL' })
    watcher.close()
    const files = (await readdir(dataDir)).join(' ')

    const client = createClient(await startServer(t, environment))
    const { body } = await client.call('POST', '/soakp/keys', 201, { key: 'sk-of-the-start-after' })
    t.equal((await client.ask('/soakp/me', body.token.token)).status, 200, `killed with ${files}`)
    client.close()
  }
}

/** Calls at random until the server is killed at a random moment. */
async function work(
  client: Client,
  server: ServerProcess,
  keys: Map<string, KnownKey>,
  random: Random,
  done: Record<OperationName | 'unanswered', number>,
): Promise<void> {
  let events = 1 + random.below(MOST_EVENTS)
  const tick = () => {
    if (--events === 0) server.kill('SIGKILL')
  }
  const counted: Client['call'] = async (...call) => {
    tick()
    const answer = await client.call(...call)
    tick()
    return answer
  }
  const worker = async () => {
    for (;;) {
      const name = random.of(MIX) ?? 'save'
      if (await operations[name](counted, keys, random)) done[name]++
    }
  }
  await Promise.all(
    Array.from({ length: WORKERS }, () =>
      worker().catch((error: unknown) => {
        if (!(error instanceof Unanswered)) throw error
        done.unanswered++
      }),
    ),
  )
}

/** Compares what was promised with what is there, and settles what was not acknowledged. */
async function check(
  t: Test,
  client: Client,
  keys: Map<string, KnownKey>,
  random: Random,
  sample: number,
): Promise<void> {
  const listed = await client.listKeys()
  const faults: string[] = []
  for (const [id, name] of listed) {
    if (keys.has(id)) continue
    await adopt(client, keys, id, name, faults)
    listed.delete(id)
  }
  const quiet: KnownKey[] = []
  for (const key of keys.values()) {
    const isListed = listed.has(key.id)
    if (key.state === 'unsure') key.state = isListed ? 'live' : 'deleted'
    else if (isListed !== (key.state === 'live')) faults.push(`${key.id} is ${key.state} but listed: ${isListed}`)
    if (!key.isBusy) quiet.push(key)
  }
  const touched = [...keys.values()].filter(({ isBusy }) => isBusy)
  const others = quiet.length <= sample ? quiet : Array.from({ length: sample }, () => random.of(quiet))
  for (const key of [...touched, ...others]) if (key !== undefined) await checkKey(client, key, faults)
  t.same(faults, [], `${keys.size} keys are as promised`)
}

async function checkKey(client: Client, key: KnownKey, faults: string[]): Promise<void> {
  key.isBusy = false
  const isLive = key.state === 'live'
  for (const token of key.tokens) {
    const { status, body } = await client.ask(isLive ? '/v1/models' : '/soakp/me', token.jwt)
    if (token.state === 'unsure') token.state = status === 200 ? 'live' : 'revoked'
    const expected = isLive && token.state === 'live' ? 200 : 401
    if (status !== expected) faults.push(`${token.id} (${token.state}, key ${key.state}) was answered ${status}`)
    if (status !== 200) continue
    const value = key.values.find((each) => fingerprintOf(`Bearer ${each}`) === body.fingerprint)
    if (value === undefined) faults.push(`${key.id} went upstream with a value that it was not given`)
    else key.values = [value]
  }
  if (isLive && !(await client.opens(key.id))) faults.push(`${key.id} does not open`)
}

/** Takes in a key that was saved without acknowledgement: it is listed, so it must be whole. Then deletes it. */
async function adopt(client: Client, keys: Map<string, KnownKey>, id: string, name: string, faults: string[]) {
  if (!(await client.opens(id))) faults.push(`${id} is listed but does not open`)
  const { body } = await client.call('POST', '/soakp/tokens', 201, { key_id: id })
  const answer = await client.ask('/v1/models', body.token)
  if (answer.body.fingerprint !== name) faults.push(`${id} does not hold the value that it was saved with`)
  await client.call('DELETE', `/soakp/keys/${id}`, 200)
  const token: KnownToken = { id: body.id, jwt: body.token, state: 'live' }
  keys.set(id, { id, values: [], state: 'deleted', isBusy: true, tokens: [token] })
}
