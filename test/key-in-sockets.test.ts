import { test } from 'tap'
import { RAW_KEY } from './support/passing.ts'
import { PLAIN } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import { HANDSHAKE, closePayload, frame, switchingText } from './support/sockets.ts'
import { eventually, openWire, requestText, startRawUpstream } from './support/wire.ts'
import type { Wire } from './support/wire.ts'

const TEXT = 1
const BYTES = 2
const CLOSE = 8
const PING = 9
const PONG = 10

/** Writes one message as frames, one for each part. */
function fragments(opcode: number, parts: readonly string[]): string[] {
  return parts.map((part, index) =>
    frame(part, { opcode: index === 0 ? opcode : 0, bits: index === parts.length - 1 ? 8 : 0 }),
  )
}

/** Cuts the key at these places. */
function cut(...places: readonly number[]): string[] {
  return [0, ...places].map((place, index) => RAW_KEY.slice(place, places[index]))
}

/** What of the key nobody is to see: both halves of it, and what is in its middle. */
const PARTS = [RAW_KEY.slice(0, 15), RAW_KEY.slice(15), RAW_KEY.slice(8, 23)]

/** Ways of an upstream to send the key in one message, frame by frame. */
const ways: Readonly<Record<string, readonly string[]>> = {
  'a text': [frame(`{"key":"${RAW_KEY}"}`)],
  'bytes around it': [frame(Buffer.from(`\0\xff${RAW_KEY}\xff`, 'latin1'), { opcode: BYTES })],
  'a ping': [frame(RAW_KEY, { opcode: PING })],
  'a pong': [frame(RAW_KEY, { opcode: PONG })],
  'a close reason': [frame(closePayload(3_000, RAW_KEY), { opcode: CLOSE })],
  'a ping between fragments': [
    frame('a', { opcode: TEXT, bits: 0 }),
    frame(RAW_KEY, { opcode: PING }),
    frame('b', { opcode: 0 }),
  ],
  'fragments with a ping between them': fragments(TEXT, cut(9, 18)).flatMap((each) => [
    each,
    frame('', { opcode: PING }),
  ]),
  'fragments and empty ones': fragments(
    TEXT,
    cut(9, 18).flatMap((each) => [each, '', '']),
  ),
  'a fragment for each letter': fragments(TEXT, RAW_KEY.split('')),
  'the last of many': [frame('1'), frame('2'), ...fragments(BYTES, cut(20, 25))],
  ...Object.fromEntries(
    [TEXT, BYTES].flatMap((opcode) =>
      [
        [1, 2],
        [1, 30],
        [7, 14, 21],
        [2, 15, 16, 29],
        [29, 30],
        [10, 20, 30],
      ].map((places) => [
        `${opcode === TEXT ? 'text' : 'bytes'} in fragments, cut at ${places.join(', ')}`,
        fragments(opcode, cut(...places)),
      ]),
    ),
  ),
}

for (const [name, environment] of Object.entries({ 'plain HTTP': PLAIN, TLS: {} })) {
  test(`over ${name}, no message of a WebSocket brings the key, however many fragments it has`, async (t) => {
    const upstream = await startRawUpstream(t)
    const soakp = await startSoakp(t, { ...environment, SOAKP_UPSTREAM: upstream.url })
    const { token } = await soakp.saveKey({ key: RAW_KEY })

    /** Opens a WebSocket and has the upstream send frames, each in a packet of its own. */
    async function receive(frames: readonly string[]): Promise<{ client: Wire; far: Wire }> {
      const { promise, resolve } = Promise.withResolvers<Wire>()
      upstream.answer(({ wire, headers }) => {
        wire.write(switchingText(headers))
        resolve(wire)
      })
      const client = await openWire(t, soakp)
      client.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, `Authorization: Bearer ${token}`]))
      await client.until(/\r\n\r\n/)
      const far = await promise
      for (const each of frames) {
        far.write(each)
        await new Promise((sent) => setImmediate(sent))
      }
      return { client, far }
    }

    for (const [way, frames] of Object.entries(ways)) {
      const { client, far } = await receive([...frames, frame('after it')])
      const got = await client.until(/withheld$/)
      t.ok(got.includes(String.fromCharCode(1_008 >> 8, 1_008 & 255)), `${way}: closed with 1008`)
      t.notOk(
        [...PARTS, 'after it'].some((part) => got.includes(part)),
        `${way}: nothing of it`,
      )
      await eventually('the end of the upstream call', () => far.end !== undefined)
      client.socket.destroy()
    }

    const { client } = await receive([frame(`1 ${RAW_KEY.slice(0, 15)}`), frame(`${RAW_KEY.slice(15)} 2`)])
    const got = await client.until(/ 2$/)
    t.ok(got.includes(frame(`1 ${RAW_KEY.slice(0, 15)}`)), 'halves in two messages are not looked for: SECURITY.md')
    await eventually('the end of all others', () => soakp.app.unsealed.liveCalls.size === 1)
  })
}
