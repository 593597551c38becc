import { HIDDEN, brokenRequests, passedRequests, refusedRequests } from '../test/fixtures/ambiguous.ts'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'

const JSON_BODY = '{"model":"m","stream":true,"messages":[{"role":"user","content":"é"}]}'
const HEAD = 'Host: localhost\r\n{auth}'
const ADMIN_HEAD = 'Host: localhost\r\nAuthorization: Bearer {admin}\r\n'

const AMBIGUOUS = [
  ...Object.values(refusedRequests),
  ...Object.values(brokenRequests),
  ...Object.values(passedRequests).map(([text]) => text),
]

/** Requests before they are changed. */
const REQUESTS: readonly string[] = [
  `GET {main} HTTP/1.1\r\n${HEAD}\r\n`,
  `GET {main}?a=1&a=%20&b=[]{}|^\`"<> HTTP/1.1\r\n${HEAD}Accept-Encoding: gzip\r\nOpenAI-Beta: x\r\n\r\n`,
  `POST {main} HTTP/1.1\r\n${HEAD}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(JSON_BODY)}\r\n\r\n${Buffer.from(JSON_BODY).toString('latin1')}`,
  `POST {main} HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nX-T: 1\r\n\r\n`,
  `POST {main} HTTP/1.1\r\n${HEAD}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 71\r\n\r\n--b\r\nContent-Disposition: form-data; name="file"\r\n\r\ncontent\r\n--b--\r\n\r\n\r\n`,
  `PUT {main} HTTP/1.1\r\n${HEAD}Expect: 100-continue\r\nContent-Length: 4\r\n\r\nbody`,
  `HEAD {main} HTTP/1.1\r\n${HEAD}\r\n`,
  `DELETE {main} HTTP/1.1\r\n${HEAD}Content-Length: 2\r\n\r\n{}`,
  `OPTIONS {main} HTTP/1.1\r\nHost: localhost\r\nOrigin: https://a.example\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization, x-a\r\n\r\n`,
  `GET /soakp/keys HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer soakp_admin_wrong\r\n\r\n`,
  `POST /soakp/keys HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{"key":"sk-0123456789a"}`,
  `POST /get-jwt HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YWRtaW46d3Jvbmc=\r\nContent-Length: 24\r\n\r\n{"key":"sk-0123456789a"}`,
  `POST /soakp/keys HTTP/1.1\r\n${ADMIN_HEAD}Content-Type: application/json\r\nContent-Length: 57\r\n\r\n{"key":"sk-0123456789a","name":"a","base_url":"http://a"}`,
  `POST /soakp/tokens HTTP/1.1\r\n${ADMIN_HEAD}Content-Type: application/json\r\nContent-Length: 63\r\n\r\n{"key_id":"key_x","expires_in":60,"scope":{"paths":["/a/**"]}}\n`,
  `GET /soakp/keys?limit=2&after=key_x HTTP/1.1\r\n${ADMIN_HEAD}\r\n`,
  `PATCH /soakp/keys/key_x HTTP/1.1\r\n${ADMIN_HEAD}Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{"name":"b"}`,
  `DELETE /soakp/tokens/tok_x HTTP/1.1\r\n${ADMIN_HEAD}\r\n`,
  `GET /soakp/me HTTP/1.1\r\n${HEAD}\r\n`,
  'GET /soakp/health HTTP/1.1\r\nHost: localhost\r\n\r\n',
  'GET /soakp/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n',
  `GET {socket} HTTP/1.1\r\n${HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
  `GET {main} HTTP/1.0\r\n${HEAD}Connection: keep-alive\r\n\r\n`,
]

/** What the placeholders of a request stand for. */
export interface RequestNames {
  readonly index: number
  readonly token: string
  readonly admin: string
}

/** Fills in paths, which name the case, and the token. */
export function fillIn(text: string, { index, token, admin }: RequestNames): string {
  const fill = (template: string) =>
    template
      .replaceAll('{main}', `/v1/case/${index}`)
      .replaceAll('{hidden}', `/v1/case/${index}/hidden`)
      .replaceAll('{socket}', `/v1/socket/${index}`)
      .replaceAll('{admin}', admin)
      .replaceAll('{auth}', `Authorization: Bearer ${token}\r\n`)
  const size = fill(HIDDEN).length
  return fill(text).replaceAll('{size}', String(size)).replaceAll('{hex}', size.toString(16))
}

/** Makes one to three requests of HTTP/1.1 for one connection, mostly changed. */
export function hostileRequests(random: Random, names: RequestNames): Buffer {
  const count = random.percent(80) ? 1 : 2 + random.below(2)
  const requests = Array.from({ length: count }, () => {
    const text = fillIn(random.pick(random.percent(60) ? REQUESTS : AMBIGUOUS), names)
    const bytes = Buffer.from(text, 'latin1')
    return random.percent(90) ? mutate(random, bytes) : bytes
  })
  return Buffer.concat(requests)
}

/** A right request, whose answer ends the connection. */
export function rightRequest(names: RequestNames, path: string): Buffer {
  return Buffer.from(fillIn(`GET ${path} HTTP/1.1\r\n${HEAD}Connection: close\r\n\r\n`, names))
}

/** A right handshake. */
export function rightHandshake(names: RequestNames): Buffer {
  const text = REQUESTS.find((each) => each.startsWith('GET {socket}')) ?? ''
  return Buffer.from(fillIn(text, names))
}
