import { test } from 'tap'
import type { Test } from 'tap'
import { fetch } from 'undici'
import { startServer } from './support/process.ts'
import type { ServerProcess } from './support/process.ts'
import { PLAIN, bearer } from './support/refusals.ts'
import { ADMIN } from './support/soakp.ts'

/** So many KiB a file may be long: enough to start, and too little for a few hundred changes. */
const MOST_KIB = 128

/** A server, and how its admin and callers see it. */
function callsOf({ address }: ServerProcess) {
  const call = async (method: string, path: string, credential: string, body?: object) => {
    const headers = { ...bearer(credential), 'content-type': 'application/json' }
    const answer = await fetch(address + path, { method, headers, body: body ? JSON.stringify(body) : null })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? undefined : (JSON.parse(text) as Record<string, any>) } // oxlint-disable-line typescript/no-explicit-any
  }
  return {
    manage: (method: string, path: string, body?: object) => call(method, `/soakp${path}`, ADMIN, body),
    statusOf: async (token: string) => (await call('GET', '/soakp/me', token)).status,
  }
}

async function start(t: Test, dataDir: string | undefined, limit: string): Promise<ServerProcess> {
  const environment = { ...PLAIN, SOAKP_ADMIN_TOKEN: ADMIN, ...(dataDir !== undefined && { SOAKP_DATA_DIR: dataDir }) }
  return startServer(t, environment, {
    command: ['bash', '-c', `${limit} exec "$0" bin/soakp.js serve`, process.execPath],
  })
}

test('a revocation that cannot be written is not said to be done, and those that were hold after kill -9', async (t) => {
  const first = await start(t, undefined, '')
  const { manage } = callsOf(first)
  const saved = await manage('POST', '/keys', { key: 'sk-proj-of-a-full-disk-0123456789' })
  const tokens: { id: string; token: string }[] = []
  for (let each = 0; each < 150; each += 1) {
    const { body } = await manage('POST', '/tokens', { key_id: saved.body?.['id'] })
    tokens.push({ id: body?.['id'], token: body?.['token'] })
  }
  first.kill('SIGTERM')
  await first.ended

  const full = await start(t, first.dataDir, `ulimit -f ${MOST_KIB};`)
  const { manage: manageFull, statusOf } = callsOf(full)
  const revoked: string[] = []
  let failed: { id: string; token: string; status: number; code: string } | undefined
  for (const { id, token } of tokens) {
    const { status, body } = await manageFull('DELETE', `/tokens/${id}`)
    if (status >= 300) {
      failed = { id, token, status, code: body?.['error'].code }
      break
    }
    revoked.push(token)
  }
  t.ok(failed !== undefined, 'the disk is full')
  t.match(failed, { status: 507, code: 'SOAKP_STORE_FULL' })
  t.equal(await statusOf(failed?.token ?? ''), 200, 'the token works, as was said')
  for (const token of revoked.slice(-5)) t.equal(await statusOf(token), 401, 'what was acknowledged holds')
  full.kill('SIGKILL')
  await full.ended

  const again = callsOf(await start(t, first.dataDir, ''))
  for (const token of revoked) t.equal(await again.statusOf(token), 401, 'after the end of the process, too')
  t.equal((await again.manage('DELETE', `/tokens/${failed?.id}`)).status, 200, 'with space it can be revoked')
  t.equal(await again.statusOf(failed?.token ?? ''), 401)
})
