/** What a browser puts into `Sec-WebSocket-Protocol`, because it cannot set headers (OpenAI's Realtime clients). */
export interface Subprotocols {
  /** The token of `openai-insecure-api-key.<token>`. It and the next two are never passed on as subprotocols. */
  readonly token: string | undefined
  readonly organization: string | undefined
  readonly project: string | undefined
  /** The others, in their order: what is offered to the upstream. */
  readonly offered: readonly string[]
}

const TOKEN = 'openai-insecure-api-key.'
const ORGANIZATION = 'openai-organization.'
const PROJECT = 'openai-project.'

/** Reads the value of a `Sec-WebSocket-Protocol` header (RFC 6455 section 11.3.4). */
export function parseSubprotocols(header: string | undefined): Subprotocols {
  const all = (header ?? '').split(',').flatMap((each) => each.trim() || [])
  const valueOf = (prefix: string) => all.find((each) => each.startsWith(prefix))?.slice(prefix.length)
  return {
    token: valueOf(TOKEN),
    organization: valueOf(ORGANIZATION),
    project: valueOf(PROJECT),
    offered: all.filter((each) => ![TOKEN, ORGANIZATION, PROJECT].some((prefix) => each.startsWith(prefix))),
  }
}
