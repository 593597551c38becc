import type { Dispatcher } from 'undici'
import { requestHeaders } from './headers.ts'
import { upstreamError } from './upstream-errors.ts'
import type { OpenedKey } from './vault.ts'

/** What an upstream says of a key. `status` is null when it could not be asked. */
export interface KeyCheck {
  readonly works: boolean
  readonly status: number | null
  readonly message: string
}

/** A proxied call may take minutes to begin; a list of models that does is as good as none. */
const CHECK_MS = 30_000

/** Asks the upstream for its models, which costs nothing, to learn whether it takes the key. */
export async function checkKey(
  dispatcher: Dispatcher,
  { base_url, key, organization, project }: OpenedKey & { readonly base_url: string },
): Promise<KeyCheck> {
  const { origin, pathname } = new URL(base_url)
  const headers = requestHeaders([], { authorization: `Bearer ${key.reveal()}`, organization, project })
  try {
    const { statusCode, body } = await dispatcher.request({
      origin,
      path: `${pathname}/models`,
      method: 'GET',
      headers,
      headersTimeout: CHECK_MS,
      bodyTimeout: CHECK_MS,
    })
    await body.dump()
    return { works: statusCode === 200, status: statusCode, message: meaning(statusCode) }
  } catch (error) {
    const message = `The upstream could not be asked: ${upstreamError(error).message}`
    return { works: false, status: null, message }
  }
}

function meaning(status: number): string {
  if (status === 200) return 'The upstream takes the key.'
  if (status === 401) return 'The upstream refuses the key. Replace it: PUT /soakp/keys/{id}/value.'
  if (status === 403)
    return 'The upstream knows the key but does not let it list models; restricted keys answer so too.'
  if (status === 429) return 'The upstream knows the key but its quota or rate limit is used up.'
  return `The upstream answered ${status}, which says neither yes nor no.`
}
