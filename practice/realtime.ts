import { PracticeError } from './errors.ts'
import type { Exchange } from './exchange.ts'
import { readBody, readJson } from './exchange.ts'
import { randomHex, randomId, unixTime } from './ids.ts'
import { isJsonObject } from './json.ts'
import { readForm, textPart } from './multipart.ts'
import type { Route } from './router.ts'
import { sendBytes, sendJson } from './send.ts'

const sdpLimitBytes = 1024 * 1024

/** The HTTP side of the Realtime API: WebRTC calls (the answer leads nowhere) and client secrets. */
export const realtimeRoutes: readonly Route[] = [
  { method: 'POST', path: '/realtime/calls', answer: call },
  { method: 'POST', path: '/realtime/client_secrets', answer: createSecret },
]

async function call(exchange: Exchange): Promise<void> {
  const offer = await readOffer(exchange)
  if (!offer.startsWith('v=0')) throw new PracticeError(400, 'Failed to parse the SDP offer.', { param: 'sdp' })
  const headers = { location: `/v1/realtime/calls/${randomId('rtc_')}` }
  sendBytes(exchange.response, 'application/sdp', Buffer.from(writeSdpAnswer()), 201, headers)
}

async function readOffer(exchange: Exchange): Promise<string> {
  const contentType = exchange.request.headers['content-type'] ?? ''
  if (!contentType.startsWith('application/sdp')) return textPart(await readForm(exchange), 'sdp') ?? ''
  return (await readBody(exchange.request, sdpLimitBytes)).toString()
}

/** Writes an answer with one audio stream and the events channel, addressed to the documentation network (RFC 5737). */
function writeSdpAnswer(): string {
  const fingerprint = (randomHex(32) + randomHex(32)).toUpperCase().replace(/(..)(?=.)/g, '$1:')
  return [
    'v=0',
    `o=- ${unixTime()} ${unixTime()} IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    'a=group:BUNDLE 0 1',
    'a=msid-semantic:WMS *',
    `a=fingerprint:sha-256 ${fingerprint}`,
    'm=audio 9 UDP/TLS/RTP/SAVPF 111',
    'c=IN IP4 0.0.0.0',
    'a=mid:0',
    `a=ice-ufrag:${randomHex(8)}`,
    `a=ice-pwd:${randomHex(24)}`,
    'a=setup:active',
    'a=rtcp-mux',
    'a=sendrecv',
    'a=rtpmap:111 opus/48000/2',
    'a=candidate:1 1 udp 2130706431 192.0.2.1 3478 typ host',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    'c=IN IP4 0.0.0.0',
    'a=mid:1',
    'a=sctp-port:5000',
    '',
  ].join('\r\n')
}

async function createSecret(exchange: Exchange): Promise<void> {
  const { session } = await readJson(exchange)
  const expiresAt = unixTime() + 600
  const wanted = isJsonObject(session) ? session : {}
  sendJson(exchange.response, {
    value: randomId('ek_'),
    expires_at: expiresAt,
    session: {
      type: 'realtime',
      model: 'gpt-realtime',
      output_modalities: ['audio'],
      ...wanted,
      object: 'realtime.session',
      id: randomId('sess_'),
      expires_at: expiresAt,
    },
  })
}
