import { readFile } from 'node:fs/promises'
import { test } from 'tap'
import { DnsMessageError } from '../../services/dns-wire/message-error.ts'
import { readMessage, readText } from '../../services/dns-wire/message.ts'
import { decodeName } from '../../services/dns-wire/names.ts'
import { tsigAlgorithms } from '../../services/dns-wire/tsig-algorithm.ts'
import type { TsigAlgorithm } from '../../services/dns-wire/tsig-algorithm.ts'
import { readTsigRecord } from '../../services/dns-wire/tsig-record.ts'
import { signRequest, verifyResponse } from '../../services/dns-wire/tsig.ts'
import type { TsigKey } from '../../services/dns-wire/tsig.ts'
import { Secret } from '../../services/secret.ts'

interface Vector {
  /** All in hex: an update, the same signed, the response to it, and one that says BADTIME. */
  readonly message: string
  readonly request: string
  readonly response: string
  readonly badTime: string
}

interface Vectors {
  readonly name: string
  /** Base64. */
  readonly secret: string
  readonly seconds: number
  readonly algorithms: Readonly<Record<TsigAlgorithm, Vector>>
}

const vectors = JSON.parse(await readFile(new URL('../fixtures/tsig.json', import.meta.url), 'utf8')) as Vectors
const { seconds } = vectors

/** What the vector of an algorithm holds, signed by us. */
function prepare(algorithm: TsigAlgorithm) {
  const vector = vectors.algorithms[algorithm]
  const key: TsigKey = { name: vectors.name, algorithm, secret: new Secret(vectors.secret) }
  const response = Buffer.from(vector.response, 'hex')
  return { vector, key, response, request: signRequest(Buffer.from(vector.message, 'hex'), key, seconds) }
}

const flip = (bytes: Buffer, position: number, bits = 1) => {
  const changed = Buffer.from(bytes)
  changed.writeUInt8(changed.readUInt8(position) ^ bits, position)
  return changed
}

test('messages are signed and verified as dnspython does it, with every algorithm', (t) => {
  t.equal(tsigAlgorithms.length, 5)
  for (const algorithm of tsigAlgorithms) {
    const { vector, key, response, request } = prepare(algorithm)
    const theirs = readTsigRecord(readMessage(Buffer.from(vector.request, 'hex')))
    t.equal(request.mac.toString('hex'), theirs?.mac.toString('hex'), algorithm)
    t.equal(
      request.bytes.toString('latin1').toLowerCase(),
      Buffer.from(vector.request, 'hex').toString('latin1').toLowerCase(),
    )
    const verdict = verifyResponse(readMessage(response), request, key, seconds)
    t.same(verdict, { isVerified: true, error: 0, serverSeconds: undefined })
  }
  t.end()
})

test('BADTIME gives the time of the server, however far it is, only when it is signed', (t) => {
  const { vector, key, request } = prepare('hmac-sha256')
  const bytes = Buffer.from(vector.badTime, 'hex')
  const verdict = verifyResponse(readMessage(bytes), request, key, seconds + 1e6)
  t.same(verdict, { isVerified: true, error: 18, serverSeconds: seconds + 600 })
  t.throws(() => verifyResponse(readMessage(flip(bytes, bytes.length - 1)), request, key, seconds), /signature/)
  t.end()
})

test('a response with any bit changed is refused, and one cut short wherever it ends', (t) => {
  const { key, response, request } = prepare('hmac-sha256')
  const isTaken = (bytes: Buffer) => {
    try {
      return verifyResponse(readMessage(bytes), request, key, seconds).isVerified
    } catch (error) {
      if (error instanceof DnsMessageError) return false
      throw error
    }
  }
  t.ok(isTaken(response), 'as it came it is taken')
  const taken = Array.from({ length: response.length * 8 }, (_, bit) => bit).filter((bit) =>
    isTaken(flip(response, bit >> 3, 1 << (bit & 7))),
  )
  // The id in front is for the caller to compare, and names are signed in lower case.
  const text = response.toString('latin1')
  const names = ['Soakp-Key', 'example', 'hmac-sha256'].flatMap((label) =>
    Array.from(label, (_, index) => text.lastIndexOf(label) + index),
  )
  const free = [0, 1, ...names]
  t.same(
    taken.map((bit) => bit >> 3).filter((position) => !free.includes(position)),
    [],
  )
  const lengths = Array.from({ length: response.length }, (_, length) => length)
  t.same(
    lengths.filter((length) => isTaken(response.subarray(0, length))),
    [],
  )
  t.end()
})

test('a signature cut short is refused, though RFC 8945 lets others take it', (t) => {
  const { key, response, request } = prepare('hmac-sha256')
  const at = response.length - 6 - 32
  const cut = Buffer.concat([response.subarray(0, at + 16), response.subarray(at + 32)])
  cut.writeUInt16BE(16, at - 2)
  cut.writeUInt16BE(cut.readUInt16BE(at - 12 - 13) - 16, at - 12 - 13)
  t.equal(readTsigRecord(readMessage(cut))?.mac.length, 16, 'it is well formed')
  t.throws(() => verifyResponse(readMessage(cut), request, key, seconds), { message: /signature .* is wrong/ })
  t.end()
})

test('the response to another request, another time, key or algorithm is refused', (t) => {
  const { vector, key, response, request } = prepare('hmac-sha256')
  const message = readMessage(response)
  const other = signRequest(Buffer.from(vector.message, 'hex'), key, seconds + 1)
  t.throws(() => verifyResponse(message, other, key, seconds), { message: /signature .* is wrong/ }, 'a replay')
  t.ok(verifyResponse(message, request, key, seconds + 300).isVerified)
  t.throws(() => verifyResponse(message, request, key, seconds + 301), { message: /another time/ })
  t.throws(() => verifyResponse(message, request, key, seconds - 301), { message: /another time/ })
  t.throws(() => verifyResponse(message, request, { ...key, name: 'other' }, seconds), { message: /another key/ })
  t.throws(() => verifyResponse(message, request, { ...key, algorithm: 'hmac-sha1' }, seconds), {
    message: /another key/,
  })
  const secret = new Secret(Buffer.alloc(32).toString('base64'))
  t.throws(() => verifyResponse(message, request, { ...key, secret }, seconds), { message: /signature .* is wrong/ })
  const forged = flip(response, response.length - 10)
  t.throws(() => verifyResponse(readMessage(forged), request, key, seconds + 301), { message: /is wrong/ }, 'MAC first')
  t.end()
})

test('without a signature only a refusal is heard, and not believed', (t) => {
  const { key, response, request } = prepare('hmac-sha256')
  const unsigned = Buffer.from(response.subarray(0, readTsigRecord(readMessage(response))?.start))
  unsigned.writeUInt16BE(0, 10)
  t.throws(() => verifyResponse(readMessage(unsigned), request, key, seconds), { message: /without a signature/ })
  unsigned.writeUInt16BE(0xa809, 2)
  t.same(verifyResponse(readMessage(unsigned), request, key, seconds), {
    isVerified: false,
    error: 0,
    serverSeconds: undefined,
  })
  t.end()
})

test('a signature that is not the last record, or not alone, is refused', (t) => {
  const { key, response, request } = prepare('hmac-sha256')
  const start = readTsigRecord(readMessage(response))?.start ?? 0
  const twice = Buffer.concat([response, response.subarray(start)])
  twice.writeUInt16BE(2, 10)
  t.throws(() => verifyResponse(readMessage(twice), request, key, seconds), { message: /out of place/ })
  const followed = Buffer.concat([response, Buffer.from('00001000010000000000020161', 'hex')])
  followed.writeUInt16BE(2, 10)
  t.throws(() => verifyResponse(readMessage(followed), request, key, seconds), { message: /out of place/ })
  const asAnswer = Buffer.from(response)
  asAnswer.writeUInt16BE(1, 6)
  asAnswer.writeUInt16BE(0, 10)
  t.throws(() => verifyResponse(readMessage(asAnswer), request, key, seconds), { message: /out of place/ })
  t.end()
})

test('twenty thousand broken messages end in our error, none in another or in a hang', (t) => {
  const random = createRandom(20_261_124)
  const { vector, key, response, request } = prepare('hmac-sha256')
  const seeds = [response, Buffer.from(vector.request, 'hex'), Buffer.from(vector.badTime, 'hex')]
  let refused = 0
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = mutate(seeds[round % seeds.length] ?? response, random)
    try {
      const message = readMessage(bytes)
      for (const record of [...message.answers, ...message.authorities, ...message.additionals]) readText(record.data)
      verifyResponse(message, request, key, seconds)
    } catch (error) {
      if (!(error instanceof DnsMessageError)) throw error
      refused += 1
    }
  }
  t.ok(refused > 15_000, `${refused} were refused`)
  t.end()
})

test('pointers that loop, point forward or make a name too long are refused', (t) => {
  const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
  t.throws(() => decodeName(hex('c000'), 0), { message: /does not point back/ })
  t.throws(() => decodeName(hex('0161 c004 0162 c000'), 0), { message: /does not point back/ })
  t.throws(() => decodeName(hex('0161 c000'), 0), { message: /does not point back/ })
  t.throws(() => decodeName(hex('0162 c000'), 2), { message: /does not point back|in the middle/ })
  t.throws(() => decodeName(hex('4161'), 0), { message: /unknown kind/ })
  t.throws(() => decodeName(Buffer.concat([Buffer.alloc(256, '\x01a'), Buffer.of(0)]), 0), { message: /too long/ })
  t.same(decodeName(hex('0161 00 0162 c000'), 3), { name: 'b.a', end: 7 })
  t.end()
})

/** Changes, removes or inserts some bytes; lengths and counts are hit as often as the rest. */
function mutate(bytes: Buffer, random: () => number): Buffer {
  let mutated = Buffer.from(bytes)
  for (let left = 1 + Math.floor(random() * 4); left > 0; left -= 1) {
    const at = Math.floor(random() * (mutated.length + 1))
    const byte = Math.floor(random() * 256)
    const kind = Math.floor(random() * 4)
    if (kind === 0) mutated = mutated.subarray(0, at)
    else if (kind === 1) mutated = Buffer.concat([mutated.subarray(0, at), Buffer.of(byte), mutated.subarray(at)])
    else if (at < mutated.length) mutated.writeUInt8(kind === 2 ? byte : 0xc0 | (byte & 1), at)
  }
  return mutated
}

/** Numbers that look random and are the same each time (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
