import { createHmac, randomBytes } from 'node:crypto'

/** What a forger starts from: a live token, the real signing key, and identifiers that a token must not name. */
export interface ForgeryOptions {
  readonly token: string
  readonly signingKey: Buffer
  readonly ids: { readonly revoked: string; readonly foreign: string; readonly foreignKey: string }
}

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

const encode = (text: string | Buffer) => Buffer.from(text).toString('base64url')
const toJson = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value))

/**
 * Makes tokens that must all be refused, by title, and one by the same hand that must be taken. Most carry a right
 * signature, so that what is wrong with them is the only thing that can refuse them.
 */
export function forgeries({ token, signingKey, ids }: ForgeryOptions): {
  control: string
  forged: Map<string, string>
} {
  const [head = '', body = '', signature = ''] = token.split('.')
  const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Record<string, unknown>
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Record<string, unknown>
  const forged = new Map<string, string>()

  const mac = (text: string, key: Buffer = signingKey, hash = 'sha256') =>
    createHmac(hash, key).update(text).digest('base64url')
  /** Signs any header and payload; text is taken as it is. */
  const sign = (withHeader: unknown, withClaims: unknown, key?: Buffer, hash?: string) => {
    const text = `${encode(toJson(withHeader))}.${encode(toJson(withClaims))}`
    return `${text}.${mac(text, key, hash)}`
  }
  const add = (title: string, text: string) => forged.set(title, text)
  const addHeader = (title: string, changes: Record<string, unknown>) =>
    add(`header: ${title}`, sign({ ...header, ...changes }, claims))
  const addClaims = (title: string, changes: Record<string, unknown>) =>
    add(`claims: ${title}`, sign(header, { ...claims, ...changes }))

  for (const alg of ['none', 'None', 'NONE', 'nOnE']) {
    addHeader(`alg ${alg}, signed`, { alg })
    add(`header: alg ${alg}, unsigned`, `${encode(toJson({ ...header, alg }))}.${body}.`)
    add(`header: alg ${alg}, no third part`, `${encode(toJson({ ...header, alg }))}.${body}`)
  }
  add('header: alg HS384', sign({ ...header, alg: 'HS384' }, claims, signingKey, 'sha384'))
  add('header: alg HS512', sign({ ...header, alg: 'HS512' }, claims, signingKey, 'sha512'))
  add('header: alg HS256, signed with SHA-512', sign(header, claims, signingKey, 'sha512'))
  for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA', 'hs256', 'HS256 ', '', null, 256, ['HS256'], undefined]) {
    addHeader(`alg ${JSON.stringify(alg)}`, { alg })
  }
  for (const typ of ['JWT', 'AT+JWT', 'application/at+jwt', 'at+jwt ', '', null, 1, undefined]) {
    addHeader(`typ ${JSON.stringify(typ)}`, { typ })
  }
  for (const kid of ['token-signing/2', '', '../../dev/null', "x' or '1'='1", 'TOKEN-SIGNING/1', null, undefined]) {
    addHeader(`kid ${JSON.stringify(kid)}`, { kid })
  }
  const ownKey = { kty: 'oct', k: encode(signingKey) }
  const places = {
    jku: 'https://evil.example/keys',
    jwk: ownKey,
    x5u: 'https://evil.example/x',
    x5c: ['AAAA'],
    x5t: 'AAAA',
  }
  for (const [name, value] of Object.entries({ ...places, zip: 'DEF', cty: 'JWT', enc: 'A256GCM' })) {
    addHeader(name, { [name]: value })
  }
  addHeader('crit exp', { crit: ['exp'] })
  addHeader('crit unknown', { crit: ['unknown'], unknown: 1 })
  addHeader('crit empty', { crit: [] })
  addHeader('b64 false', { b64: false, crit: ['b64'] })
  addHeader('p2c', { p2c: 1e9, p2s: 'AAAA' })
  addHeader('__proto__', JSON.parse('{"__proto__":{"alg":"none"}}') as Record<string, unknown>)
  const text = toJson(header)
  add('header: other order', sign(Object.fromEntries(Object.entries(header).toReversed()), claims))
  add('header: spaces', sign(JSON.stringify(header, null, 1), claims))
  add('header: a space at the end', sign(`${text} `, claims))
  add('header: alg twice', sign(text.replace('{', '{"alg":"none",'), claims))
  add('header: byte order mark', sign(`\u{feff}${text}`, claims))
  for (const shape of ['', '{}', '[]', 'null', '"x"', '1', '{']) add(`header: is ${shape}`, sign(shape, claims))

  for (const end of [
    'A',
    '=',
    '==',
    '.',
    '..',
    '.AAAA',
    ' ',
    '\n',
    '\r\n',
    '\t',
    '\0',
    '%00',
    '#',
    '?x',
    ',',
    ';',
    'é',
  ]) {
    add(`form: ${JSON.stringify(end)} at the end`, token + end)
  }
  for (const start of [' ', '.', '=', '\n', '\u{feff}', 'Bearer ', '"', 'é']) {
    add(`form: ${JSON.stringify(start)} before it`, start + token)
  }
  for (const [title, parts] of Object.entries({
    'one part': [head],
    'two parts': [head, body],
    'no header': ['', body, signature],
    'no payload': [head, '', signature],
    'no signature': [head, body, ''],
    'empty parts': ['', '', ''],
    'header twice': [head, head, body, signature],
    'signature twice': [head, body, signature, signature],
    'five parts': [head, body, body, body, signature],
    'other order': [body, head, signature],
    'padded header': [`${head}=`, body, signature],
    'padded payload': [head, `${body}=`, signature],
    'padded signature': [head, body, `${signature}=`],
    'space in the payload': [head, `${body.slice(0, 8)} ${body.slice(8)}`, signature],
    'newline in the signature': [head, body, `${signature.slice(0, 8)}\n${signature.slice(8)}`],
    'short signature': [head, body, signature.slice(0, -1)],
    'half a signature': [head, body, signature.slice(0, 21)],
    'long signature': [head, body, `${signature}A`],
    'signature of zeros': [head, body, 'A'.repeat(43)],
    'signature backwards': [head, body, signature.split('').toReversed().join('')],
    'signature with é': [head, body, `é${signature.slice(1)}`],
    'signature in base64': [head, body, `+/${signature.slice(2)}`],
    'signature in hexadecimal': [head, body, Buffer.from(signature, 'base64url').toString('hex')],
    'payload in full width letters': [head, body.replaceAll(/[A-Z]/g, (each) => full(each)), signature],
  })) {
    add(`form: ${title}`, parts.join('.'))
  }
  // The last of 43 characters has two unused bits: three more spellings decode to the same 32 bytes.
  const last = BASE64URL.indexOf(signature.at(-1) ?? '')
  for (const bits of [1, 2, 3]) {
    add(`form: unused bits ${bits} in the signature`, token.slice(0, -1) + BASE64URL[(last & 0b111100) | bits])
  }
  for (const padded of [`${body}=`, `${body} `, ` ${body}`, `${body}\n`, `${body}?`, `${body}é`]) {
    add(`form: signed payload ${JSON.stringify(padded.slice(-2))}`, `${head}.${padded}.${mac(`${head}.${padded}`)}`)
  }
  const flat = { payload: body, protected: head, signature }
  add('form: JSON serialization', JSON.stringify(flat))
  add('form: general JSON serialization', JSON.stringify({ payload: body, signatures: [flat] }))
  add('form: twice with a comma', `${token},${token}`)
  for (const other of ['', 'sk-proj-abcdefgh', 'undefined', 'null', '[object Object]', 'a.b.c', '😀.😀.😀']) {
    add(`form: ${other || 'nothing'}`, other)
  }
  add('form: 5 KB, signed', sign(header, { ...claims, pad: 'a'.repeat(5_000) }))
  add('form: 1 MB', 'a'.repeat(1_000_000))
  add('form: 1 MB of dots', '.'.repeat(1_000_000))

  const wrongKeys = {
    random: randomBytes(32),
    empty: Buffer.alloc(0),
    zeros: Buffer.alloc(32),
    text: Buffer.from(signingKey.toString('base64url')),
    'key id': Buffer.from('token-signing/1'),
    JWK: Buffer.from(JSON.stringify(ownKey)),
    'cut short': signingKey.subarray(0, 31),
    longer: Buffer.concat([signingKey, Buffer.from([1])]),
  }
  for (const [title, key] of Object.entries(wrongKeys)) add(`key: ${title}`, sign(header, claims, key))

  const times = { missing: undefined, null: null, text: '4102444800', fraction: 4_102_444_800.5, true: true }
  for (const claim of ['exp', 'nbf', 'iat']) {
    for (const [title, value] of Object.entries(times)) addClaims(`${claim} ${title}`, { [claim]: value })
    for (const shape of [[4_102_444_800], { value: 4_102_444_800 }]) {
      addClaims(`${claim} ${JSON.stringify(shape)}`, { [claim]: shape })
    }
    const number = (digits: string) => toJson(claims).replace(new RegExp(`"${claim}":\\d+`), `"${claim}":${digits}`)
    for (const digits of ['1e400', '9007199254740992', '-1e400', '1e18', 'NaN', '0x7fffffff']) {
      add(`claims: ${claim} ${digits}`, sign(header, number(digits)))
    }
  }
  addClaims('exp negative', { exp: -1 })
  addClaims('exp 0', { exp: 0 })
  addClaims('exp past', { exp: 1_700_000_000 })
  addClaims('nbf in the future', { nbf: 4_102_444_800 })
  for (const iss of ['urn:soakp:other', 'urn:soakp:', '', null, undefined, 7, [claims['iss'], 'x'], 'x']) {
    addClaims(`iss ${JSON.stringify(iss)}`, { iss: Array.isArray(iss) ? iss.toReversed() : iss })
  }
  for (const aud of ['other', 'SOAKP', '', null, undefined, 7, [], ['other'], { soakp: true }]) {
    addClaims(`aud ${JSON.stringify(aud)}`, { aud })
  }
  const { jti } = claims
  for (const value of [
    ids.revoked,
    ids.foreign,
    'tok_unknown',
    '',
    null,
    undefined,
    7,
    [jti],
    { jti },
    `${String(jti)} `,
  ]) {
    addClaims(`jti ${JSON.stringify(value)}`, { jti: value })
  }
  addClaims('jti with a letter that looks the same', { jti: String(jti).replace('t', '\u{442}') })
  for (const key of [
    ids.foreignKey,
    'key_unknown',
    '',
    null,
    undefined,
    7,
    [claims['key']],
    `${String(claims['key'])}\0`,
  ]) {
    addClaims(`key ${JSON.stringify(key)}`, { key })
  }
  for (const sub of [undefined, null, 7, ['user'], { sub: 'user' }]) addClaims(`sub ${JSON.stringify(sub)}`, { sub })
  // RFC 7519 section 4: the last of two wins, so a right one before a wrong one does not help.
  for (const [claim, wrong] of Object.entries({
    jti: ids.foreign,
    key: ids.foreignKey,
    iss: 'x',
    aud: 'x',
    exp: 1,
    nbf: 4e9,
  })) {
    add(`claims: ${claim} twice`, sign(header, toJson(claims).replace(/\}$/, `,"${claim}":${JSON.stringify(wrong)}}`)))
  }
  const all = toJson(claims)
  const shapes = ['', ' ', '{}', '[]', 'null', 'true', '1', '"x"', '{', `[${all}]`, `"${encode(all)}"`, `${all}${all}`]
  for (const shape of shapes) {
    add(`payload: ${shape.slice(0, 12)}…${shape.length}`, sign(header, shape))
  }
  add('payload: claims in the prototype', sign(header, `{"__proto__":${all}}`))
  add('payload: deep', sign(header, '['.repeat(1_000) + ']'.repeat(1_000)))
  const latin = `${head}.${Buffer.from(all.replace('soakp', 'so\u{e9}kp'), 'latin1').toString('base64url')}`
  add('payload: no UTF-8', `${latin}.${mac(latin)}`)

  return { control: sign(header, claims), forged }
}

/** Returns the full width form of a capital letter, which some programs fold to the letter itself. */
function full(letter: string): string {
  return String.fromCodePoint((letter.codePointAt(0) ?? 0) + 0xfee0)
}
