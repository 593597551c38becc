import { createHash } from 'node:crypto'
import { Agent, fetch } from 'undici'
import type { ServerProcess } from './process.ts'
import { ADMIN } from './soakp.ts'

/** What was promised about a key. Its values are those that it may have: two while a replacement is not acknowledged. */
export interface KnownKey {
  readonly id: string
  values: string[]
  /** `unsure`: its deletion was asked for and not acknowledged. */
  state: 'live' | 'deleted' | 'unsure'
  isBusy: boolean
  readonly tokens: KnownToken[]
}

/** What was promised about a token. */
export interface KnownToken {
  readonly id: string
  readonly jwt: string
  state: 'live' | 'revoked' | 'unsure'
}

/** An answer with its JSON body. */
export interface Answer {
  readonly status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- bodies of several shapes, of which few fields are read
  readonly body: any
}

/** Thrown when the server was killed before it answered. */
export class Unanswered extends Error {}

/** What SOAKP is asked to do. */
export type OperationName = 'save' | 'mint' | 'revoke' | 'replace' | 'delete'

type Operation = (call: Client['call'], keys: Map<string, KnownKey>, random: Random) => Promise<boolean>

/**
 * What the workers do; false when there was nothing to do it to. What may happen is written down before the call, what
 * did happen after the answer.
 */
export const operations: Readonly<Record<OperationName, Operation>> = {
  async save(call, keys, random) {
    const value = newValue(random)
    const { body } = await call('POST', '/soakp/keys', 201, { key: value, name: fingerprintOf(`Bearer ${value}`) })
    const token: KnownToken = { id: body.token.id, jwt: body.token.token, state: 'live' }
    keys.set(body.id, { id: body.id, values: [value], state: 'live', isBusy: false, tokens: [token] })
    return true
  },

  mint: (call, keys, random) =>
    withKey(keys, random, async (key) => {
      const { body } = await call('POST', '/soakp/tokens', 201, { key_id: key.id })
      key.tokens.push({ id: body.id, jwt: body.token, state: 'live' })
    }),

  async revoke(call, keys, random) {
    const hasLiveToken = ({ tokens }: KnownKey) => tokens.some(({ state }) => state === 'live')
    const revoke = async (key: KnownKey) => {
      const token = random.of(key.tokens.filter(({ state }) => state === 'live'))
      if (token === undefined) return
      token.state = 'unsure'
      await call('DELETE', `/soakp/tokens/${token.id}`, 200)
      token.state = 'revoked'
    }
    return withKey(keys, random, revoke, hasLiveToken)
  },

  replace: (call, keys, random) =>
    withKey(keys, random, async (key) => {
      const value = newValue(random)
      key.values.push(value)
      await call('PUT', `/soakp/keys/${key.id}/value`, 200, { key: value })
      key.values = [value]
    }),

  delete: (call, keys, random) =>
    withKey(keys, random, async (key) => {
      key.state = 'unsure'
      await call('DELETE', `/soakp/keys/${key.id}`, 200)
      key.state = 'deleted'
    }),
}

/** Gives an operation a live key for itself. A key that stays busy was in use when the server was killed. */
async function withKey(
  keys: Map<string, KnownKey>,
  random: Random,
  operation: (key: KnownKey) => Promise<void>,
  isWanted: (key: KnownKey) => boolean = () => true,
): Promise<boolean> {
  const key = random.of([...keys.values()].filter((each) => each.state === 'live' && !each.isBusy && isWanted(each)))
  if (key === undefined) return false
  key.isBusy = true
  await operation(key)
  key.isBusy = false
  return true
}

/** Calls one SOAKP. */
export type Client = ReturnType<typeof createClient>

/** Creates a client of a server; `close` gives up all its connections. */
export function createClient({ address }: ServerProcess) {
  const dispatcher = new Agent({ connections: 16 })

  async function send(method: string, path: string, credential: string, body?: unknown): Promise<Answer> {
    const authorization = `Bearer ${credential}`
    const headers = { authorization, ...(body !== undefined && { 'content-type': 'application/json' }) }
    try {
      const init = { method, headers, dispatcher, ...(body !== undefined && { body: JSON.stringify(body) }) }
      const answer = await fetch(address + path, init)
      return { status: answer.status, body: await answer.json() }
    } catch (cause) {
      throw new Unanswered(`${method} ${path} was not answered`, { cause })
    }
  }

  /** Calls as the admin; any status but the expected one is a fault. */
  async function call(method: string, path: string, expected: number, body?: unknown): Promise<Answer> {
    const answer = await send(method, path, ADMIN, body)
    if (answer.status === expected) return answer
    throw new Error(`${method} ${path} was answered ${answer.status}: ${JSON.stringify(answer.body)}`)
  }

  return {
    call,
    ask: (path: string, token: string) => send('GET', path, token),
    opens: async (id: string) => (await send('POST', `/soakp/keys/${id}/check`, ADMIN)).body.works === true,
    /** Returns the names of all keys by id. */
    async listKeys(): Promise<Map<string, string>> {
      const names = new Map<string, string>()
      for (let after = ''; ;) {
        const { body } = await call('GET', `/soakp/keys?limit=100${after}`, 200)
        for (const { id, name } of body.data) names.set(id, name)
        if (!body.has_more) return names
        after = `&after=${body.data.at(-1).id}`
      }
    },
    close: () => void dispatcher.destroy().catch(() => undefined),
  }
}

function newValue(random: Random): string {
  return `sk-durable-${random.below(2 ** 32).toString(36)}-${random.below(2 ** 32).toString(36)}`
}

/** Tells values apart without saying them. */
export function fingerprintOf(authorization: string): string {
  return createHash('sha256').update(authorization).digest('hex').slice(0, 16)
}

/** Random numbers that a seed repeats. */
export interface Random {
  /** Returns a whole number from 0 up to and without `end`. */
  below(end: number): number
  of<Item>(items: readonly Item[]): Item | undefined
}

/** Creates a Mulberry32: the same numbers for the same seed. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (end: number) => Math.floor(next() * end)
  return { below, of: <Item>(items: readonly Item[]) => items[below(items.length)] }
}
