import type { ServerResponse } from 'node:http'
import { sendJson } from './send.ts'

/** What an error says beside its message, in the words of OpenAI's envelope. */
export interface PracticeErrorDetails {
  readonly type?: string
  readonly param?: string | null
  readonly code?: string | null
  readonly headers?: Readonly<Record<string, string>>
}

/** Is thrown by an endpoint to answer with a status and OpenAI's error envelope. */
export class PracticeError extends Error {
  readonly status: number
  readonly details: PracticeErrorDetails

  constructor(status: number, message: string, details: PracticeErrorDetails = {}) {
    super(message)
    this.status = status
    this.details = details
  }
}

/** Makes the 400 that OpenAI answers when a parameter is not there. */
export function missingParameter(name: string): PracticeError {
  return new PracticeError(400, `Missing required parameter: '${name}'.`, {
    param: name,
    code: 'missing_required_parameter',
  })
}

/** Makes the 400 that OpenAI answers when a parameter has a value it cannot use. */
export function invalidValue(name: string, message: string): PracticeError {
  return new PracticeError(400, message, { param: name, code: 'invalid_value' })
}

/** Sends any thrown value in OpenAI's envelope: a `PracticeError` as it says, everything else as a 500. */
export function sendError(response: ServerResponse, error: unknown): void {
  const { status, message, details } = error instanceof PracticeError ? error : serverError(error)
  const { type = 'invalid_request_error', param = null, code = null, headers = {} } = details
  sendJson(response, { error: { message, type, param, code } }, status, headers)
}

function serverError(error: unknown): PracticeError {
  const reason = error instanceof Error ? error.message : String(error)
  const message = `The server had an error while processing your request. Sorry about that! (${reason})`
  return new PracticeError(500, message, { type: 'server_error' })
}
