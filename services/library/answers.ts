import { readEvents } from './events.ts'

/** An answer that is an error, by SOAKP or by the upstream. The fields are those of the official SDK's errors. */
export class CallError extends Error {
  override readonly name = 'CallError'
  /** The HTTP status; undefined for an error that came within a stream. */
  readonly status: number | undefined
  readonly code: string | null
  readonly type: string | null
  readonly param: string | null
  readonly requestID: string | null
  readonly headers: Headers

  constructor(status: number | undefined, headers: Headers, error: unknown) {
    const { message, code, type, param } = Object(error) as Record<string, unknown>
    super(text(message) ?? `The call was answered ${status}.`)
    this.status = status
    this.code = text(code)
    this.type = text(type)
    this.param = text(param)
    this.requestID = headers.get('x-request-id')
    this.headers = headers
  }
}

/**
 * Reads an answer by its content type: JSON parsed, server-sent events as an `EventStream`, other text as a string,
 * anything else as a Buffer; undefined when there is no body. Throws `CallError` for an error status.
 */
export async function readAnswer(response: Response): Promise<unknown> {
  const { body, headers, ok } = response
  if (!ok) throw await callError(response)
  if (body === null) return undefined
  const [type = ''] = (headers.get('content-type') ?? '').toLowerCase().split(';', 1)
  if (type === 'text/event-stream') return readEvents(body, (error) => new CallError(undefined, headers, error))
  const content = Buffer.from(await response.arrayBuffer())
  if (isJson(type)) return content.length === 0 ? undefined : JSON.parse(content.toString())
  return type.startsWith('text/') ? content.toString() : content
}

async function callError(response: Response): Promise<CallError> {
  const { headers, status } = response
  const content = await response.text()
  try {
    return new CallError(status, headers, (JSON.parse(content) as { error?: unknown } | null)?.error)
  } catch {
    return new CallError(status, headers, undefined)
  }
}

function isJson(type: string): boolean {
  return /^application\/(?:[\w.-]+\+)?json$/.test(type.trim())
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
