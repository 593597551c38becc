import { createHmac, createSecretKey, webcrypto } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CompactEncrypt } from 'jose'
import { test } from 'tap'
import { createCipher } from '../../services/cipher.ts'
import type { Binding } from '../../services/cipher.ts'
import { openStore } from '../../services/stores/index.ts'
import { createTokens } from '../../services/tokens.ts'
import type { TokenClaims } from '../../services/tokens.ts'

interface Vector {
  readonly tcId: number
  readonly comment: string
  readonly result: string
  readonly jwe: string
  readonly jws: string
}

interface Group {
  readonly private: { readonly k: string }
  readonly tests: Vector[]
}

async function readGroups(name: string): Promise<Group[]> {
  const text = await readFile(new URL(`../fixtures/wycheproof/${name}.json`, import.meta.url), 'utf8')
  return (JSON.parse(text) as { testGroups: Group[] }).testGroups
}

const binding: Binding = { type: 'soakp-key+jwt', id: 'key_A', audience: 'https://api.openai.com/v1', version: 3 }
const ours = { typ: binding.type, kid: 'kek-1', iss: 'urn:soakp:instance', tid: 'default' }
const header = { alg: 'A256KW', enc: 'A256GCM', ...ours, sub: 'key_A', aud: binding.audience, ver: 3 }

test('of the A256KW vectors none opens as an envelope of ours, under its own header or under ours', async (t) => {
  const ourHeader = Buffer.from(JSON.stringify(header)).toString('base64url')
  const refused = { statusCode: 500, code: 'SOAKP_ENVELOPE_REFUSED' }
  let vectors = 0
  for (const { private: key, tests } of await readGroups('json_web_encryption')) {
    const kek = createSecretKey(Buffer.from(key.k, 'base64url'))
    const cipher = createCipher({ current: 1, keyEncryptionKey: () => kek, databaseKey: () => '' }, 'instance')
    for (const { tcId, comment, jwe } of tests) {
      const [, ...rest] = jwe.split('.')
      t.throws(() => cipher.open(binding, jwe), refused, `${tcId} ${comment}`)
      t.throws(() => cipher.open(binding, [ourHeader, ...rest].join('.')), refused, `${tcId} under our header`)
      vectors += 1
    }
  }
  t.equal(vectors, 33)
})

test('a 256-bit key that an A256KW vector wraps is unwrapped to the same key here', async (t) => {
  let unwrapped = 0
  for (const { private: key, tests } of await readGroups('json_web_encryption')) {
    const raw = Buffer.from(key.k, 'base64url')
    const kek = createSecretKey(raw)
    const wrapping = await webcrypto.subtle.importKey('raw', raw, 'AES-KW', false, ['unwrapKey'])
    const cipher = createCipher({ current: 1, keyEncryptionKey: () => kek, databaseKey: () => '' }, 'instance')
    for (const { tcId, jwe } of tests.filter(({ result }) => result === 'valid')) {
      const [, wrapped = ''] = jwe.split('.')
      const hmac = { name: 'HMAC', hash: 'SHA-256' }
      const bytes = Buffer.from(wrapped, 'base64url')
      const content = await webcrypto.subtle.unwrapKey('raw', bytes, wrapping, 'AES-KW', hmac, true, ['sign'])
      const contentKey = Buffer.from(await webcrypto.subtle.exportKey('raw', content))
      if (contentKey.length !== 32) continue
      const sealer = new CompactEncrypt(Buffer.from('{"right":true}')).setContentEncryptionKey(contentKey)
      const sealed = await sealer.setProtectedHeader(header).encrypt(kek)
      t.equal(sealed.split('.')[1], wrapped, `${tcId} wraps to the same bytes`)
      t.same(cipher.open(binding, sealed), { right: true }, `${tcId} opens`)
      unwrapped += 1
    }
  }
  t.ok(unwrapped > 0)
})

/** In the file the first two are letter for letter the valid vector 357; the others are valid to decoders that skip characters. */
const MISTAKEN = new Map([
  [367, 'accepted'],
  [370, 'accepted'],
  [372, 'refused'],
  [373, 'refused'],
])

test('of the HS256 vectors exactly the valid ones pass, even with a verifier that decodes leniently', async (t) => {
  const store = await openStore('sqlite', { file: join(t.testdir(), 'soakp.db'), key: 'ab'.repeat(48) })
  t.teardown(() => store.close())
  const row = { name: 'n', base_url: 'https://api.openai.com/v1', version: 1, created_at: 1, updated_at: 1 }
  await store.insertKey({ id: 'key_A', envelope: '', ...row })
  const policy = JSON.stringify({ scope: {}, origins: [], limits: {} })
  const token = { subject: null, name: null, policy, created_at: 1, expires_at: 9e9, revoked_at: null }
  await store.insertToken({ id: 'tok_A', key_id: 'key_A', ...token }, [])
  const claims: TokenClaims = { jti: 'tok_A', sub: 's', key: 'key_A', iat: 0, nbf: 0, exp: 9e9 }
  const limits = { requests_per_minute: 1, requests_per_day: 1, parallel_requests: 1 }
  let vectors = 0
  for (const { private: key, tests } of await readGroups('json_web_signature')) {
    for (const { tcId, comment, jws, result } of tests) {
      const [head = '', payload = '', signature = ''] = jws.split('.')
      const verify = () => {
        const hmac = createHmac('sha256', Buffer.from(key.k, 'base64url')).update(`${head}.${payload}`)
        if (!Buffer.from(signature, 'base64url').equals(hmac.digest())) throw new Error('wrong signature')
        return claims
      }
      const sign = () => `${head.replaceAll(/[^\w-]/g, '')}.e30.AA`
      const tokens = createTokens({ store, signer: { sign, verify }, lifetime: 60, limits, now: () => 1 })
      const expected = MISTAKEN.get(tcId) ?? (result === 'valid' ? 'accepted' : 'refused')
      const title = `${tcId} ${comment}`
      if (expected === 'accepted') t.equal(tokens.authenticate(jws).grant.token_id, 'tok_A', title)
      else t.throws(() => tokens.authenticate(jws), { statusCode: 401, code: 'SOAKP_TOKEN_REFUSED' }, title)
      vectors += 1
    }
  }
  t.equal(vectors, 40)
})
