import { execFileSync, fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { startPracticeUpstream } from '../../practice/upstream.ts'
import { ROOT, startServer } from '../support/process.ts'

const SOCKETS = 5_000
const CALLS = 300

/** Rounds of which the best counts: other work on the machine slows any one down. */
const ROUNDS = 3

/** Node raises its own limit to the hard one. */
const descriptors = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim()
const skip =
  descriptors !== 'unlimited' && Number(descriptors) < SOCKETS + 1_000
    ? `needs ${SOCKETS + 1_000} file descriptors, has ${descriptors} (ulimit -n)`
    : false

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function openSockets(attacker: ChildProcess): Promise<number> {
  const [{ open }] = (await once(attacker, 'message')) as [{ open: number }]
  return open
}

async function startAttack(t: Test, port: number, protocol: string): Promise<ChildProcess> {
  const attacker = fork(join(ROOT, 'test/support/slow-loris.ts'), [String(port), String(SOCKETS), protocol], {
    execArgv: [],
    env: { PATH: process.env['PATH'] },
  })
  t.teardown(() => attacker.kill('SIGKILL'))
  t.equal(await openSockets(attacker), SOCKETS)
  return attacker
}

for (const tls of ['off', 'local']) {
  test(`SOAKP_TLS=${tls}: 5,000 slow clients slow a good one by no more than a factor of two`, { skip }, async (t) => {
    const upstream = await startPracticeUpstream()
    t.teardown(() => upstream.close())
    const server = await startServer(t, {
      SOAKP_TLS: tls,
      SOAKP_UPSTREAM: upstream.url,
      SOAKP_LOG_LEVEL: 'warn',
      SOAKP_TOKEN_REQUESTS_PER_MINUTE: '1000000',
      // So that only what they cost is measured: by default they would be closed as too many of one address.
      SOAKP_CONNECTIONS: '20000',
      SOAKP_ADDRESS_CONNECTIONS: '20000',
    })
    const ca = tls === 'off' ? undefined : await readFile(join(server.dataDir, 'local-authority.pem'), 'utf8')
    const dispatcher = new Agent({ connect: { ca } })
    t.teardown(() => dispatcher.destroy())
    const ask = async (path: string, credential = '', body?: string): Promise<string> => {
      const headers = { authorization: `Bearer ${credential}`, ...(body && { 'content-type': 'application/json' }) }
      const answer = await fetch(server.address + path, { dispatcher, headers, ...(body && { method: 'POST', body }) })
      if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
      return answer.text()
    }
    const saved = await ask('/soakp/keys', server.admin, JSON.stringify({ key: upstream.key }))
    const { token } = (JSON.parse(saved) as { token: { token: string } }).token
    const round = async () => {
      const times: number[] = []
      for (let call = 0; call < CALLS; call += 1) {
        const sinceMs = performance.now()
        await ask('/v1/models', token)
        times.push(performance.now() - sinceMs)
      }
      return median(times)
    }
    const best = async () => {
      const medians: number[] = []
      for (let count = 0; count < ROUNDS; count += 1) medians.push(await round())
      return Math.min(...medians)
    }

    await round()
    const alone = await best()
    const attacker = await startAttack(t, server.port, server.address.split(':', 1)[0] ?? '')
    const attacked = await best()
    attacker.send('count')
    const open = await openSockets(attacker)
    t.ok(open > SOCKETS / 2, `${open} slow connections at the end`)
    const figures = `median of ${CALLS} calls: ${alone.toFixed(2)} ms alone, ${attacked.toFixed(2)} ms beside ${SOCKETS}`
    t.ok(attacked <= 2 * alone, figures)
    t.comment(`SOAKP_TLS=${tls}, ${figures}`)
    // A good client that comes now has to get a connection, too.
    const newcomer = new Agent({ connect: { ca } })
    t.teardown(() => newcomer.destroy())
    const answer = await fetch(`${server.address}/soakp/health`, { dispatcher: newcomer })
    t.equal(answer.status, 200)
  })
}
