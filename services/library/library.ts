import type { Server } from 'node:http'
import { readAnswer } from './answers.ts'
import { prepareCall } from './call.ts'
import type { CallOptions } from './call.ts'
import { connectWithin } from './connection.ts'
import { createFetch } from './fetch.ts'
import type { Fetch } from './fetch.ts'
import type { Secret } from '../secret.ts'
import type { MintedToken, NewToken, RotationRequest } from '../tokens.ts'
import type { NewKey } from '../vault.ts'

/** SOAKP within a process: keys, tokens and calls without a server that listens. Its functions need no `this`. */
export interface Library {
  /** Saves a key, encrypted in the data folder, and returns a token (a JWT) for it. */
  readonly saveKey: (key: string, options?: Omit<NewKey, 'key'>) => Promise<string>
  /**
   * Calls an endpoint with a token, or with the promise of one: `request(token, 'chat/completions', parameters)`,
   * `request(token, 'GET /v1/models')`. An object is sent as JSON, `FormData` as a form, and text, bytes or a stream
   * as they are; with GET an object becomes the query; without parameters GET is meant.
   *
   * Resolves with what the answer holds: JSON parsed, an `EventStream` for `stream: true`, a string for other text, a
   * Buffer for anything else. Rejects with a `CallError` for an error status. Nothing is sent a second time.
   */
  readonly request: <Answer = unknown>(
    token: string | Promise<string>,
    endpoint: string,
    parameters?: unknown,
    options?: CallOptions,
  ) => Promise<Answer>
  /** Mints a token with a policy, as `POST /soakp/tokens` does. */
  readonly mint: (token: NewToken) => Promise<MintedToken>
  /** Gives a token, named by its id or by a JWT of it, a new JWT, as `POST /soakp/tokens/{id}/rotate` does. */
  readonly rotate: (token: string, options?: RotationRequest) => Promise<MintedToken>
  /** Revokes a token, named by its id or by a JWT of it, and ends its running calls in this process. */
  readonly revoke: (token: string) => Promise<void>
  /** Calls a management route as the admin: `manage('GET /soakp/keys')`. */
  readonly manage: <Answer = unknown>(endpoint: string, parameters?: unknown) => Promise<Answer>
  /**
   * Is called as the global `fetch` is and goes to SOAKP whatever host the address names, so that an SDK needs nothing
   * but it and a token: `new OpenAI({ apiKey: token, fetch: soakp.fetch })`.
   */
  readonly fetch: Fetch
  /** Ends running calls, writes what was counted and closes the database. The next call begins anew. */
  readonly close: () => Promise<void>
}

/** A SOAKP that was started and does not listen. */
export interface Started {
  readonly server: Server
  /** The admin credential of this process. */
  readonly credential: Secret
  close(): Promise<void>
}

/** Creates the library over a SOAKP that `start` starts at the first call. */
export function createLibrary(start: () => Promise<Started>): Library {
  let starting: Promise<Started> | undefined

  /** A start that failed is tried again by the next call. */
  async function started(): Promise<Started> {
    const current = (starting ??= start())
    try {
      return await current
    } catch (error) {
      if (starting === current) starting = undefined
      throw error
    }
  }

  const fetch = createFetch(async () => connectWithin((await started()).server))

  const request: Library['request'] = async <Answer>(
    token: string | Promise<string>,
    endpoint: string,
    parameters?: unknown,
    options: CallOptions = {},
  ) => {
    const credential = await token
    const { path, headers, ...init } = prepareCall(endpoint, parameters, options)
    headers.set('authorization', `Bearer ${credential}`)
    return (await readAnswer(await fetch(path, { ...init, headers }))) as Answer
  }

  const manage: Library['manage'] = async (endpoint, parameters) =>
    request((await started()).credential.reveal(), endpoint, parameters)

  return {
    fetch,
    request,
    manage,

    async saveKey(key, options) {
      const saved = await manage<{ token: MintedToken }>('POST /soakp/keys', { ...options, key })
      return saved.token.token
    },

    mint: (token) => manage('POST /soakp/tokens', token),

    rotate: async (token, options = {}) => manage(`POST /soakp/tokens/${idOf(token)}/rotate`, options),

    async revoke(token) {
      await manage(`DELETE /soakp/tokens/${idOf(token)}`)
    },

    async close() {
      const current = starting
      starting = undefined
      await (await current?.catch(() => undefined))?.close()
    },
  }
}

/** A JWT names its token; whether it is a good one does not matter to the admin. */
function idOf(token: string): string {
  const [, payload] = token.split('.')
  if (payload === undefined) return encodeURIComponent(token)
  try {
    const { jti } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { jti?: unknown }
    return encodeURIComponent(String(jti))
  } catch {
    throw new TypeError('That is neither the id of a token, tok_…, nor a JWT.')
  }
}
