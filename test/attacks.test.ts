import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { test } from 'tap'
import { readConfiguration } from '../services/configuration.ts'
import { readableBody } from '../services/content-encoding.ts'
import { requestHeaders } from '../services/headers.ts'
import { OK, RAW_KEY, startPassing } from './support/passing.ts'
import { answerText, exchange } from './support/wire.ts'

test('a token for /files/*/content reads no list of files behind a #, at which nginx ends the path', async (t) => {
  const { soakp, upstream } = await startPassing(t)
  upstream.answer(({ wire }) => wire.write(OK))
  const { id } = await soakp.saveKey({ key: RAW_KEY })
  const { token } = await soakp.mint(id, { scope: { paths: ['/files/*/content', '/threads/**'] } })
  const call = (path: string) => exchange(t, soakp, [`GET /v1${path} HTTP/1.1`, `Authorization: Bearer ${token}`])
  for (const path of ['/files/#/content', '/files/a#/content', '/threads/a#/runs', '/threads#', '/#/threads']) {
    t.match(await call(path), /^HTTP\/1\.1 403 [^]*SOAKP_SCOPE_REFUSED/, path)
  }
  t.equal(upstream.requests.length, 0, 'the upstream hears of none')
  t.match(await call('/files/a/content?part=#2'), /^HTTP\/1\.1 200 /)
  t.match(await call('/threads/a%23b'), /^HTTP\/1\.1 200 /)
  t.same(
    upstream.requests.map(({ line }) => line),
    ['GET /v1/files/a/content?part=#2 HTTP/1.1', 'GET /v1/threads/a%23b HTTP/1.1'],
  )
})

test('a header is kept back with underscores, too, as which CGI and WSGI read it', (t) => {
  const credentials = { authorization: 'Bearer sk-ours', organization: 'org-ours', project: 'proj_ours' }
  const ours = ['Authorization', 'Bearer sk-ours']
  const account = ['OpenAI-Organization', 'org-ours', 'OpenAI-Project', 'proj_ours']
  const evil = ['OpenAI_Organization', 'openai_project', 'X_Forwarded_For', 'X_HTTP_Method_Override', 'X-Original_URL']
  const alike = ['Transfer_Encoding', 'Sec_WebSocket_Protocol', 'Proxy_Authorization', 'API_KEY', 'Access_Control_A']
  for (const name of [...evil, ...alike, 'Proxy', 'X-Forwarded', 'X-Host', 'X-Original-Host', 'Client-IP']) {
    t.same(
      requestHeaders(['A', '1', name, 'evil', 'B', '2'], credentials),
      [...ours, 'A', '1', 'B', '2', ...account],
      name,
    )
  }
  const fine = ['x_new_feature', '1', 'Proxy-Feature', '2', '__proto__', '3', 'OpenAI_Beta', '4', 'content_type', '5']
  t.same(requestHeaders(fine, credentials), [...ours, ...fine, ...account])
  const { authorization } = credentials
  t.same(requestHeaders(['openai_project', 'p'], { authorization }), [...ours, 'openai_project', 'p'], 'none was saved')
  t.end()
})

/** So long that no coding writes it as it is. */
const SECRET_TEXT = Buffer.from(`{"message":"Incorrect key ${RAW_KEY}. ${RAW_KEY} is wrong."}`.repeat(20))
const KEY_FREE = Buffer.from('{"message":"nothing to see"}'.repeat(20))

/** Returns bytes of which one is another. */
function damaged(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 0xff
  return copy
}

/** Encoded errors that strict decoders give up on, and clients read. */
const odd: Readonly<Record<string, readonly [encoding: string, body: Buffer]>> = {
  'deflate without its frame': ['deflate', deflateRawSync(SECRET_TEXT)],
  'deflate with a wrong checksum': ['deflate', damaged(deflateSync(SECRET_TEXT), deflateSync(SECRET_TEXT).length - 1)],
  'gzip with a wrong checksum': ['gzip', damaged(gzipSync(SECRET_TEXT), gzipSync(SECRET_TEXT).length - 6)],
  'gzip with something behind it': ['gzip', Buffer.concat([gzipSync(SECRET_TEXT), Buffer.from('garbage!')])],
  'a second member of gzip': ['gzip', Buffer.concat([gzipSync(KEY_FREE), gzipSync(SECRET_TEXT)])],
  'a second frame of zstd': ['zstd', Buffer.concat([zstdCompressSync(KEY_FREE), zstdCompressSync(SECRET_TEXT)])],
  'the key as it is behind brotli': ['br', Buffer.concat([brotliCompressSync(KEY_FREE), Buffer.from(RAW_KEY)])],
  'two codings, the inner one damaged': [
    'gzip, br',
    brotliCompressSync(damaged(gzipSync(SECRET_TEXT), gzipSync(SECRET_TEXT).length - 6)),
  ],
}

test('an encoded error answer that holds the key is withheld where a strict decoder would give up', async (t) => {
  const { ask } = await startPassing(t)
  for (const [what, [encoding, body]] of Object.entries(odd)) {
    const lines = ['HTTP/1.1 400 Bad', `Content-Encoding: ${encoding}`, `Content-Length: ${body.length}`]
    const answer = await ask(({ wire }) => wire.write(answerText(lines, body.toString('latin1'))))
    t.match(answer, /^HTTP\/1\.1 502 [^]*SOAKP_UPSTREAM_LEAK/, what)
  }
})

test('what is decoded to be searched is bounded, also in frames, and what is damaged is searched as it came, too', async (t) => {
  const frames = (count: number) => Buffer.concat(Array.from({ length: count }, () => zstdCompressSync('a')))
  t.equal(String(await readableBody(frames(64), 'zstd')), 'a'.repeat(64))
  t.equal(await readableBody(frames(65), 'zstd'), undefined)
  const half = zstdCompressSync(Buffer.alloc(600_000))
  t.equal(await readableBody(Buffer.concat([half, half]), 'zstd'), undefined)
  const broken = damaged(gzipSync(KEY_FREE), 30)
  t.ok((await readableBody(broken, 'gzip'))?.includes(broken))
})

test('a secret that was set where the path of its file belongs is not repeated', (t) => {
  const secret = 'Zk3vQ9canary+8sT/wL2xB7nR4='
  for (const name of ['SOAKP_SECRET', 'SOAKP_ADMIN_TOKEN']) {
    const read = () => readConfiguration({ [`${name}_FILE`]: secret }, '/nowhere')
    t.throws(read, { message: new RegExp(`^${name}_FILE names no file that can be read`), cause: undefined })
  }
  t.end()
})
