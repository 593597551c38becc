import { createCipheriv, randomBytes, webcrypto } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { format, inspect } from 'node:util'
import { CompactEncrypt, compactDecrypt } from 'jose'
import { test } from 'tap'
import { createCipher } from '../../services/cipher.ts'
import type { Binding } from '../../services/cipher.ts'
import { createKeyRing } from '../../services/key-ring.ts'
import type { KeyRing } from '../../services/key-ring.ts'
import { Secret } from '../../services/secret.ts'

const ROOT = Buffer.alloc(32, 7)
const INSTANCE = '2f0e6f1c-8f50-4a47-9a0e-3b1f6d1f0c11'
const binding: Binding = { type: 'soakp-key+jwt', id: 'key_A', audience: 'https://api.openai.com/v1', version: 3 }
const claims = { key: 'sk-proj-canary-5b1e', organization: 'org-1', iat: 1_700_000_000 }
const REFUSED = { code: 'SOAKP_ENVELOPE_REFUSED', statusCode: 500 }

const parts = () => {
  const keyRing = createKeyRing(ROOT, INSTANCE)
  return { keyRing, cipher: createCipher(keyRing, INSTANCE), kek: keyRing.keyEncryptionKey(1) }
}

const header = {
  alg: 'A256KW',
  enc: 'A256GCM',
  typ: binding.type,
  kid: 'kek-1',
  iss: `urn:soakp:${INSTANCE}`,
  tid: 'default',
  sub: binding.id,
  aud: binding.audience,
  ver: binding.version,
}

/** Makes an envelope that is right in every respect but its header, which is `text`. */
function forge(kek: KeyObject, text: string, payload = JSON.stringify(claims)): string {
  const encoded = Buffer.from(text).toString('base64url')
  const [key, iv] = [randomBytes(32), randomBytes(12)]
  const wrap = createCipheriv('aes256-wrap', kek, Buffer.alloc(8, 0xa6))
  const wrapped = Buffer.concat([wrap.update(key), wrap.final()])
  const gcm = createCipheriv('aes-256-gcm', key, iv).setAAD(Buffer.from(encoded))
  const ciphertext = Buffer.concat([gcm.update(payload), gcm.final()])
  return [encoded, ...[wrapped, iv, ciphertext, gcm.getAuthTag()].map((each) => each.toString('base64url'))].join('.')
}

/** Puts a value into text as careless code does. */
function printAsText(value: unknown): string {
  // oxlint-disable-next-line typescript/restrict-template-expressions, typescript/no-base-to-string -- what is tested
  return `${value}` + ['', value].join('')
}

test('a secret prints as [secret] wherever a program prints', (t) => {
  const secret = new Secret('sk-canary-91c4')
  t.equal(secret.reveal(), 'sk-canary-91c4')
  const printed = [
    String(secret),
    printAsText(secret),
    JSON.stringify({ deep: [{ secret }] }),
    inspect(secret),
    inspect({ deep: [{ secret }] }, { depth: 9, showHidden: true, getters: true }),
    inspect(secret, { customInspect: false, showHidden: true }),
    format('%s %j %o %O %d', secret, secret, secret, secret, secret),
    format(secret),
    new Error(printAsText(secret)).stack ?? '',
    inspect(new Error('not taken', { cause: { secret } })),
    JSON.stringify(structuredClone(secret)),
    Object.entries(secret).join(),
    inspect(new Map([[secret, secret]])),
  ]
  t.notMatch(printed.join('\n'), 'canary')
  t.equal(JSON.stringify({ secret }), '{"secret":"[secret]"}')
  t.equal(format('%s', secret), '[secret]')
  t.end()
})

test('the keys of a ring are HKDF-SHA-256 of the root, each under its label and the instance', async (t) => {
  const ring = createKeyRing(ROOT, INSTANCE)
  const base = await webcrypto.subtle.importKey('raw', ROOT, 'HKDF', false, ['deriveBits'])
  const derive = async (info: string, bytes: number, salt = INSTANCE) => {
    const algorithm = { name: 'HKDF', hash: 'SHA-256', salt: Buffer.from(salt), info: Buffer.from(info) }
    return Buffer.from(await webcrypto.subtle.deriveBits(algorithm, base, bytes * 8)).toString('hex')
  }
  t.equal(ring.keyEncryptionKey(1).export().toString('hex'), await derive('soakp kek/1', 32))
  t.equal(ring.keyEncryptionKey(2).export().toString('hex'), await derive('soakp kek/2', 32))
  t.equal(ring.databaseKey(), await derive('soakp sqlcipher', 48))
  t.equal(ring.keyEncryptionKey(1), ring.keyEncryptionKey(1), 'and derived once')
  t.not(createKeyRing(ROOT, 'another').databaseKey(), ring.databaseKey())
  t.not(createKeyRing(Buffer.alloc(32, 8), INSTANCE).databaseKey(), ring.databaseKey())
})

test('an envelope is a JWE that jose opens with the key-encryption key, and what jose seals opens here', async (t) => {
  const { cipher, kek } = parts()
  const envelope = await cipher.seal(binding, claims)
  const opened = await compactDecrypt(envelope, kek, {
    keyManagementAlgorithms: ['A256KW'],
    contentEncryptionAlgorithms: ['A256GCM'],
  })
  t.same(opened.protectedHeader, header)
  t.same(JSON.parse(Buffer.from(opened.plaintext).toString()), claims)
  const sealed = await new CompactEncrypt(Buffer.from(JSON.stringify(claims))).setProtectedHeader(header).encrypt(kek)
  t.same(cipher.open(binding, sealed), claims)
  t.same(cipher.open(binding, envelope), claims)
  t.same(cipher.open(binding, envelope), claims, 'again, with the unwrapped key')
  t.same(parts().cipher.open(binding, envelope), claims, 'and after a restart')
  t.notMatch(envelope, 'canary')
  t.not(await cipher.seal(binding, claims), envelope, 'no two envelopes are the same')
})

test('an envelope with any one bit flipped is refused, before and after the right one was opened', async (t) => {
  const cold = parts().cipher
  const warm = parts().cipher
  const envelope = await cold.seal(binding, claims)
  const opened: string[] = []
  const wrongErrors: unknown[] = []
  for (let at = 0; at < envelope.length; at += 1) {
    for (let bit = 0; bit < 8; bit += 1) {
      const flipped = String.fromCharCode(envelope.charCodeAt(at) ^ (1 << bit))
      const forged = envelope.slice(0, at) + flipped + envelope.slice(at + 1)
      if (bit === at % 8) warm.open(binding, envelope)
      for (const cipher of [cold, warm]) {
        try {
          cipher.open(binding, forged)
          opened.push(forged)
        } catch (error) {
          if ((error as { code?: string }).code !== REFUSED.code) wrongErrors.push(error)
        }
      }
    }
  }
  t.same(opened, [])
  t.same(wrongErrors, [])
  t.same(warm.open(binding, envelope), claims, 'the right one still opens')
})

test('an envelope that is cut, padded, spaced or longer is refused', async (t) => {
  const { cipher } = parts()
  const envelope = await cipher.seal(binding, claims)
  const [head = '', wrapped = '', iv = '', text = '', tag = ''] = envelope.split('.')
  const forgeries = [
    ...Array.from(envelope, (_, length) => envelope.slice(0, length)),
    ...['.', '=', '==', ' ', '\n', 'A', '.AAAA'].map((end) => envelope + end),
    ` ${envelope}`,
    [head, wrapped, iv, `${text}AAAA`, tag].join('.'),
    [head, wrapped, iv, '', tag].join('.'),
    [head, wrapped, '', text, tag].join('.'),
    [head, '', iv, text, tag].join('.'),
    [head, wrapped, `${iv}AAAA`, text, tag].join('.'),
    [head, wrapped, iv, text, tag.slice(0, 16)].join('.'),
    [head, wrapped, iv, text, tag.slice(0, 21)].join('.'),
    [head, text, iv, wrapped, tag].join('.'),
    [wrapped, head, iv, text, tag].join('.'),
    JSON.stringify({ protected: head, encrypted_key: wrapped, iv, ciphertext: text, tag }),
    '....',
    'é.é.é.é.é',
  ]
  for (const [number, forged] of forgeries.entries()) {
    t.throws(() => cipher.open(binding, forged), REFUSED, `forgery ${number}`)
  }
})

test('an envelope opens for its own row alone', async (t) => {
  const { cipher } = parts()
  const envelope = await cipher.seal(binding, claims)
  const other = await cipher.seal({ ...binding, id: 'key_B' }, { key: 'sk-other' })
  const earlier = await cipher.seal({ ...binding, version: 2 }, { key: 'sk-earlier' })
  const wrong: Record<string, [Binding, string]> = {
    'of another key': [binding, other],
    'for another id': [{ ...binding, id: 'key_B' }, envelope],
    'for another upstream': [{ ...binding, audience: 'https://evil.example/v1' }, envelope],
    'for the same upstream in other letters': [{ ...binding, audience: 'https://API.openai.com/v1' }, envelope],
    'of a later version': [{ ...binding, version: 2 }, envelope],
    'of an earlier version': [binding, earlier],
    'of another type': [{ ...binding, type: 'soakp-secret+jwt' }, envelope],
  }
  for (const [title, [row, text]] of Object.entries(wrong)) {
    t.throws(() => cipher.open(row, text), REFUSED, `${title}, first thing`)
    t.same(cipher.open(binding, envelope), claims)
    t.throws(() => cipher.open(row, text), REFUSED, `${title}, after the right one was opened and is remembered`)
  }
  cipher.open(binding, envelope)
  t.same(cipher.open({ ...binding, version: 2 }, earlier), { key: 'sk-earlier' }, 'a row that is put back whole opens')
  const elsewhere = createCipher(createKeyRing(ROOT, 'another'), 'another')
  t.throws(() => elsewhere.open(binding, envelope), REFUSED, 'of another instance')
  const renamed = createCipher(createKeyRing(ROOT, INSTANCE), 'another')
  t.throws(() => renamed.open(binding, envelope), REFUSED, 'of an instance with the same keys')
  const otherRoot = createCipher(createKeyRing(Buffer.alloc(32, 8), INSTANCE), INSTANCE)
  t.throws(() => otherRoot.open(binding, envelope), REFUSED, 'under another root key')
})

test('an envelope under the right key with any other header is refused', (t) => {
  const { cipher, kek } = parts()
  t.same(cipher.open(binding, forge(kek, JSON.stringify(header))), claims, 'the forger works')
  const { ver, ...withoutVersion } = header
  const headers = [
    { ...header, zip: 'DEF' },
    { ...header, crit: ['exp'] },
    { ...header, crit: [] },
    { ...header, b64: false },
    { ...header, alg: 'dir' },
    { ...header, alg: 'A128KW' },
    { ...header, alg: 'A256GCMKW' },
    { ...header, alg: 'PBES2-HS512+A256KW', p2c: 1e9, p2s: 'AAAA' },
    { ...header, alg: 'none' },
    { ...header, enc: 'A128GCM' },
    { ...header, enc: 'A256CBC-HS512' },
    { ...header, typ: 'JWT' },
    { ...header, kid: 'kek-2' },
    { ...header, kid: '../kek-1' },
    { ...header, jku: 'https://evil.example/keys' },
    { ...header, iss: 'urn:soakp:other' },
    { ...header, tid: 'other' },
    { ...header, ver: '3' },
    { ver, ...withoutVersion },
    withoutVersion,
  ].map((each) => JSON.stringify(each))
  headers.push(` ${JSON.stringify(header)}`, JSON.stringify(header, null, 1), '', 'null', '[]', '{')
  headers.push(JSON.stringify(header).replace('"alg"', '"alg":"none","alg"'))
  for (const text of headers) t.throws(() => cipher.open(binding, forge(kek, text)), REFUSED, text)
  t.end()
})

test('what is no JSON inside is refused and printed nowhere', (t) => {
  const { cipher, kek } = parts()
  for (const payload of ['', 'sk-canary-77', '{"key":"sk-canary-77"', 'undefined']) {
    try {
      cipher.open(binding, forge(kek, JSON.stringify(header), payload))
      t.fail('opened')
    } catch (error) {
      t.match(error, REFUSED)
      t.notMatch((error as Error).message, 'canary')
      t.match((error as Error).message, /key_A .*(backup|again)/, 'the message says what to do')
    }
  }
  t.end()
})

test('forget makes the cipher unwrap the key again', async (t) => {
  let unwrapped = 0
  const ring = createKeyRing(ROOT, INSTANCE)
  const counting: KeyRing = { ...ring, keyEncryptionKey: (version) => (unwrapped++, ring.keyEncryptionKey(version)) }
  const cipher = createCipher(counting, INSTANCE)
  const envelope = await cipher.seal(binding, claims)
  unwrapped = 0
  for (let time = 0; time < 3; time += 1) cipher.open(binding, envelope)
  t.equal(unwrapped, 1)
  cipher.forget(binding.id)
  cipher.forget('key_unknown')
  t.same(cipher.open(binding, envelope), claims)
  t.equal(unwrapped, 2)
})
