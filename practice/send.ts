import type { ServerResponse } from 'node:http'

type Headers = Readonly<Record<string, string>>

/** Sends a JSON answer, indented by two spaces as OpenAI does. */
export function sendJson(response: ServerResponse, value: unknown, status = 200, headers: Headers = {}): void {
  sendBytes(response, 'application/json', Buffer.from(JSON.stringify(value, null, 2)), status, headers)
}

/** Sends an answer of known length. */
export function sendBytes(
  response: ServerResponse,
  contentType: string,
  body: Buffer,
  status = 200,
  headers: Headers = {},
): void {
  response.writeHead(status, { 'content-type': contentType, 'content-length': body.length, ...headers })
  response.end(body)
}
