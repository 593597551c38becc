import { readText } from '../json.ts'
import type { AcmeClientOptions } from './client.ts'
import type { DirectoryReader, KnownDirectory } from './directory-reader.ts'
import { AcmeError } from './error.ts'
import type { Nonces } from './nonces.ts'
import { readProblem } from './problem.ts'
import { createRefusal } from './refusal.ts'
import type { AcmeAnswer, AcmeRequest, Transport } from './transport.ts'
import { postSigned } from './wire.ts'
import type { SignOptions } from './wire.ts'

/** What the calls of one client share. */
export interface CallTools {
  readonly options: AcmeClientOptions
  readonly transport: Transport
  readonly directory: DirectoryReader
  readonly nonces: Nonces
}

/** A signed request. `asked` completes "refused": `to make the order`. */
export interface PostOptions extends SignOptions {
  readonly asked: string
  /** Absent for POST-as-GET. */
  readonly payload?: object | undefined
  readonly accept?: string
}

/** Speaks with the authority within one call of the client. Throws `AcmeError`, or the signal's reason. */
export interface Call {
  directory(): Promise<KnownDirectory>
  /** Returns the address of something that the directory lists; undefined where it does not. */
  find(name: string): Promise<string | undefined>
  /** Returns the address of something that every directory must list. */
  resource(name: string): Promise<string>
  /** Sends a signed request; only a success is returned. */
  post(url: string, options: PostOptions): Promise<AcmeAnswer>
  /** Asks without a signature; any status is returned. */
  get(url: string): Promise<AcmeAnswer>
}

/** With 30 % of all nonces bad, one call in 10^16 would need more. */
const BAD_NONCE_RETRIES = 30
const NONCE_TRIES = 3

/** Creates what one call needs; parallel calls share only the directory and nonces. */
export function createCall({ options, transport, directory, nonces }: CallTools, signal: AbortSignal): Call {
  const { directory: directoryUrl, clock } = options

  async function send(request: AcmeRequest): Promise<AcmeAnswer> {
    try {
      const answer = await transport.send(request, signal)
      nonces.keep(answer.headers['replay-nonce'])
      if (seemsMoved(answer)) directory.forget()
      return answer
    } catch (error) {
      if (!signal.aborted) directory.forget()
      throw error
    }
  }

  const readDirectory = () => directory.read(signal)

  async function find(name: string): Promise<string | undefined> {
    return readText((await readDirectory()).resources[name])
  }

  async function resource(name: string): Promise<string> {
    const url = await find(name)
    if (url === undefined) throw new AcmeError(directoryUrl, `The ACME directory ${directoryUrl} lists no ${name}.`)
    return url
  }

  async function takeNonce(): Promise<string> {
    for (let tries = 0; tries < NONCE_TRIES; tries += 1) {
      const nonce = nonces.take()
      if (nonce !== undefined) return nonce
      const answer = await send({ url: await resource('newNonce'), method: 'HEAD' })
      if (!isGood(answer)) throw createRefusal(directoryUrl, 'to give a nonce', answer, clock)
    }
    const nonce = nonces.take()
    if (nonce !== undefined) return nonce
    const message = `${new URL(directoryUrl).host} gives no new nonce: look for a proxy or cache that answers in its place.`
    throw new AcmeError(directoryUrl, message)
  }

  async function post(url: string, { asked, payload, accept, ...signing }: PostOptions): Promise<AcmeAnswer> {
    let last: AcmeAnswer | undefined
    let badNonces = 0
    const wire = {
      badNonceRetries: BAD_NONCE_RETRIES,
      takeNonce,
      async send(request: { readonly url: string; readonly body: string }) {
        const answer = await send({ ...request, method: 'POST', ...(accept !== undefined && { accept }) })
        last = answer
        if (isGood(answer)) return { status: answer.status, headers: {}, data: undefined }
        const isBadNonce = answer.status === 400 && readProblem(answer, clock)?.type === 'badNonce'
        if (!isBadNonce || badNonces === BAD_NONCE_RETRIES) throw createRefusal(directoryUrl, asked, answer, clock)
        badNonces += 1
        return { status: 400, headers: {}, data: { type: 'urn:ietf:params:acme:error:badNonce' } }
      },
    }
    await postSigned(wire, url, payload, signing)
    if (last === undefined) throw new AcmeError(directoryUrl, 'The request was not sent.')
    return last
  }

  return { directory: readDirectory, find, resource, post, get: (url) => send({ url, method: 'GET' }) }
}

function isGood({ status }: AcmeAnswer): boolean {
  return status >= 200 && status < 300
}

function seemsMoved({ status }: AcmeAnswer): boolean {
  return (status >= 300 && status < 400) || status === 404 || status === 405 || status === 410
}
