/** How a call is made, where what is usual does not fit. */
export interface CallOptions {
  /** Wins over one that is written before the endpoint. */
  readonly method?: string | undefined
  readonly headers?: RequestInit['headers'] | undefined
  /** Ends the call when it is aborted, a running stream too. */
  readonly signal?: AbortSignal | undefined
}

/** A call as `fetch` takes it, its address without a host. */
export interface PreparedCall {
  readonly path: string
  readonly method: string
  readonly headers: Headers
  readonly signal: AbortSignal | null
  readonly body: Body | null
}

type Body = NonNullable<RequestInit['body']>

/**
 * Prepares a call of an endpoint: `chat/completions`, `/v1/models` or `DELETE /v1/files/file-1`. Paths are below `/v1`
 * unless they begin with `/v1`, `/openai` or `/soakp`. Throws a `TypeError` for what is no endpoint.
 */
export function prepareCall(endpoint: string, parameters: unknown, options: CallOptions = {}): PreparedCall {
  const [, written, target = ''] = /^(?:([A-Za-z]+) +)?(\S+)$/.exec(endpoint.trim()) ?? []
  if (target === '' || target.includes('://')) {
    throw new TypeError(`"${endpoint}" is no endpoint. Write its path: chat/completions, or GET /v1/models.`)
  }
  const isGiven = parameters !== undefined && parameters !== null
  const method = (options.method ?? written ?? (isGiven ? 'POST' : 'GET')).toUpperCase()
  const headers = new Headers(options.headers)
  const path = pathOf(target)
  const call = { path, method, headers, signal: options.signal ?? null, body: null }
  if (!isGiven) return call
  if (method === 'GET' || method === 'HEAD') return { ...call, path: withQuery(path, parameters) }
  if (isBody(parameters)) return { ...call, body: parameters }
  if (!headers.has('content-type')) headers.set('content-type', 'application/json')
  return { ...call, body: JSON.stringify(parameters) }
}

function pathOf(target: string): string {
  const path = target.startsWith('/') ? target : `/${target}`
  return /^\/(?:v1|openai|soakp)(?:[/?]|$)/.test(path) ? path : `/v1${path}`
}

/** Writes lists and objects with brackets, as the official SDK does: `include[]=x&metadata[k]=v`. */
function withQuery(path: string, parameters: unknown): string {
  const query = new URLSearchParams()

  function add(name: string, value: unknown): void {
    if (Array.isArray(value)) for (const each of value) add(`${name}[]`, each)
    else if (typeof value === 'object' && value !== null) {
      for (const [key, each] of Object.entries(value)) add(`${name}[${key}]`, each)
    } else if (value !== undefined) query.append(name, `${value as string | number | boolean | null}`)
  }

  for (const [name, value] of Object.entries(Object(parameters))) add(name, value)
  return query.size === 0 ? path : `${path}${path.includes('?') ? '&' : '?'}${query.toString()}`
}

/** Whether `fetch` takes it as it is. */
function isBody(value: unknown): value is Body {
  if (typeof value === 'string' || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return true
  const kinds = [FormData, Blob, URLSearchParams, ReadableStream]
  return kinds.some((kind) => value instanceof kind) || Symbol.asyncIterator in Object(value)
}
