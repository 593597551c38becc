import type { Test } from 'tap'
import { startFakeServer } from './server.ts'
import type { FakeAnswer, FakeCall, FakeListener, FakeServer } from './server.ts'

/** An operator's program that keeps what it is sent. */
export interface FakeHttpreq extends FakeServer {
  readonly username: string
  readonly password: string
  values(name: string): readonly string[]
  /** All names with their values. */
  all(): readonly (readonly [string, readonly string[]])[]
  /** Writes as another program would. */
  write(name: string, value: string): void
}

/** Starts it. It asks for a user and a password, and takes what lego's `httpreq` sends without RAW mode. */
export async function startHttpreq(t: Test, options: FakeListener = {}): Promise<FakeHttpreq> {
  const username = 'somebodies'
  const password = `pass word:${Math.random()}é`
  const expected = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  const held = new Map<string, Set<string>>()
  const at = (name: string) => held.get(name) ?? held.set(name, new Set()).get(name) ?? new Set()

  function answer({ method, path, headers, body }: FakeCall): FakeAnswer {
    const plain = (status: number, text: string) => ({ status, headers: { 'content-type': 'text/plain' }, body: text })
    if (headers['authorization'] !== expected) return plain(401, `no such user: ${headers['authorization']}`)
    if (method !== 'POST') return plain(405, 'POST it')
    const { fqdn, value } = JSON.parse(body) as { fqdn?: string; value?: string }
    if (fqdn?.endsWith('.') !== true || value === undefined) return plain(422, 'fqdn or value is missing')
    const values = at(fqdn.slice(0, -1))
    if (path === '/present') values.add(value)
    else if (path === '/cleanup') values.delete(value)
    else return plain(404, 'no such path')
    return plain(200, '')
  }

  const server = await startFakeServer(t, answer, options)
  return {
    ...server,
    username,
    password,
    values: (name) => [...at(name)],
    all: () =>
      [...held].map(([name, values]) => [name, [...values]] as const).filter(([, values]) => values.length > 0),
    write: (name, value) => void at(name).add(value),
  }
}
