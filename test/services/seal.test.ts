import { chmodSync, statSync } from 'node:fs'
import { mkdir, readFile, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CompactEncrypt, decodeProtectedHeader } from 'jose'
import { test } from 'tap'
import { createDurably, prepareDataDir, writeDurably } from '../../services/files.ts'
import { openSeal } from '../../services/seal.ts'
import { Secret } from '../../services/secret.ts'
import { fingerprint, writeRootKey } from '../support/raw-vault.ts'
import { temporaryFolder } from '../support/soakp.ts'

const modeOf = (file: string) => statSync(file).mode & 0o777

test('two that make a vault at the same moment get the same one', async (t) => {
  const folder = await temporaryFolder(t)
  const unseal = { kind: 'key-file', file: join(folder, 'root.key'), make: true } as const
  const open = () => openSeal(join(folder, 'seal.jwe'), join(folder, 'soakp.db'), unseal)
  const opened = await Promise.all(Array.from({ length: 8 }, open))
  t.equal(new Set(opened.map(({ root }) => root.toString('hex'))).size, 1)
  t.same(Object.keys(await fingerprint(folder)), ['root.key', 'seal.jwe'], 'no temporary file is left')
})

test('a seal names how it is opened, and holds the root key only encrypted', async (t) => {
  const folder = await temporaryFolder(t)
  const seal = join(folder, 'seal.jwe')
  const secret = new Secret('fVq2nU7xk0Zr9WcT4bLdYs81')
  const { root, instance } = await openSeal(seal, join(folder, 'soakp.db'), { kind: 'secret', secret })
  const envelope = await readFile(seal, 'utf8')
  const parameters = { kdf: 'scrypt', N: 2 ** 17, r: 8, p: 1, salt: /^[\w-]{22}$/ }
  const header = { alg: 'dir', enc: 'A256GCM', typ: 'soakp-root+jwe', sub: instance, source: 'secret', parameters }
  t.match(decodeProtectedHeader(envelope.trim()), header)
  t.notMatch(envelope, root.toString('base64url'))
  // The composed and the decomposed form of a letter are one secret: keyboards differ.
  const composed = { kind: 'secret', secret: new Secret('Grüße vom Rhein, 2026') } as const
  const decomposed = { kind: 'secret', secret: new Secret('Gru\u0308ße vom Rhein, 2026') } as const
  const made = await openSeal(join(folder, 'b.jwe'), join(folder, 'b.db'), composed)
  t.same((await openSeal(join(folder, 'b.jwe'), join(folder, 'b.db'), decomposed)).root, made.root)
})

test('a seal cannot cost minutes or gigabytes, nor name a derivation of its own', async (t) => {
  const folder = await temporaryFolder(t)
  const seal = join(folder, 'seal.jwe')
  const secret = { kind: 'secret', secret: new Secret('fVq2nU7xk0Zr9WcT4bLdYs81') } as const
  const usual = { kdf: 'scrypt', N: 2 ** 17, r: 8, p: 1, salt: 'c2FsdHNhbHRzYWx0' }
  for (const parameters of [
    { N: 2 ** 21 },
    { N: 100_000 },
    { N: 0 },
    { r: 17 },
    { p: 5 },
    { salt: 1 },
    { kdf: 'md5' },
  ]) {
    const header = { alg: 'dir', enc: 'A256GCM', typ: 'soakp-root+jwe', sub: 'x', source: 'secret' }
    const envelope = new CompactEncrypt(Buffer.alloc(32)).setProtectedHeader({
      ...header,
      parameters: { ...usual, ...parameters },
    })
    await writeFile(seal, await envelope.encrypt(Buffer.alloc(32)))
    await t.rejects(openSeal(seal, join(folder, 'soakp.db'), secret), { code: 'SOAKP_SEAL_DAMAGED' })
  }
})

test('a root key file that is short, a pattern or a folder is refused', async (t) => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'root.key')
  const open = () =>
    openSeal(join(folder, 'seal.jwe'), join(folder, 'soakp.db'), { kind: 'key-file', file, make: true })
  await writeFile(file, 'too short')
  await t.rejects(open(), { code: 'SOAKP_ROOT_KEY_FILE', message: /shorter than 32 bytes/ })
  await writeFile(file, Buffer.alloc(32))
  await t.rejects(open(), { code: 'SOAKP_ROOT_KEY_FILE', message: /pattern/ })
  const named = { kind: 'key-file', file: folder, make: false } as const
  await t.rejects(openSeal(join(folder, 'seal.jwe'), join(folder, 'soakp.db'), named), { code: 'SOAKP_ROOT_KEY_FILE' })
  t.same(await readdir(folder), ['root.key'], 'no seal was made')
})

test('a file is written whole, with its mode, or not at all', async (t) => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'file')
  t.equal(await createDurably(file, 'first', 0o400), true)
  t.equal(await createDurably(file, 'second', 0o644), false, 'one that exists is left alone')
  t.equal(await readFile(file, 'utf8'), 'first')
  t.equal(modeOf(file), 0o400)
  await writeDurably(file, 'third', 0o644)
  t.equal(await readFile(file, 'utf8'), 'third')
  t.equal(modeOf(file), 0o644)
  await t.rejects(writeDurably(join(folder, 'no', 'file'), '', 0o600), {
    code: 'SOAKP_FILE_UNWRITABLE',
    message: /file cannot be written \(ENOENT\)/,
  })
  t.same(await readdir(folder), ['file'], 'no temporary file is left')
})

test('a data folder of SOAKP that others can read is tightened, somebody else’s is refused', async (t) => {
  const folder = await temporaryFolder(t)
  const own = join(folder, 'own')
  const foreign = join(folder, 'foreign')
  for (const each of [own, foreign]) {
    await mkdir(each)
    chmodSync(each, 0o755)
  }
  await writeFile(join(foreign, 'letter'), '')
  await prepareDataDir(own)
  t.equal(modeOf(own), 0o700, 'an empty one is taken')
  chmodSync(own, 0o777)
  await openSeal(join(own, 'seal.jwe'), join(own, 'soakp.db'), {
    kind: 'key-file',
    file: await writeRootKey(folder),
    make: false,
  })
  await prepareDataDir(own)
  t.equal(modeOf(own), 0o700, 'one with a seal is ours')
  await t.rejects(prepareDataDir(foreign), { code: 'SOAKP_DATA_DIR' })
  t.equal(modeOf(foreign), 0o755)
  await prepareDataDir(join(folder, 'a', 'b', 'c'))
  t.equal(modeOf(join(folder, 'a', 'b')), 0o700, 'folders above are made too')
})

test('what a killed process left half written is cleared away, what is being written is not', async (t) => {
  const folder = await temporaryFolder(t)
  for (const name of ['root.key.0123abcd.new', 'seal.jwe.89abcdef.new', 'brand.new']) {
    await writeFile(join(folder, name), '')
  }
  const anHourAgo = new Date(Date.now() - 3_600_000)
  await utimes(join(folder, 'root.key.0123abcd.new'), anHourAgo, anHourAgo)
  await utimes(join(folder, 'brand.new'), anHourAgo, anHourAgo)
  await prepareDataDir(folder)
  t.same(await readdir(folder), ['brand.new', 'seal.jwe.89abcdef.new'])
})
