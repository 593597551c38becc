import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'
import type { UnsealConfiguration } from './configuration.ts'
import { SoakpError } from './errors.ts'
import { writeDurably } from './files.ts'
import { loadUnsealSource } from './unseal/index.ts'
import type { UnsealParameters, UnsealSource } from './unseal/index.ts'

/** What an opened seal gives: the root key that all others are derived from, and the name of this instance. */
export interface Unsealed {
  /** 32 random bytes, made once. */
  readonly root: Buffer
  /** A UUID that tokens and envelopes name as their issuer. */
  readonly instance: string
  readonly isNew: boolean
}

const TYPE = 'soakp-root+jwe'

/**
 * Opens the seal file, or makes it when neither it nor `databaseFile` exists. The file is one compact JWE (RFC 7516,
 * `dir` + `A256GCM`) of the root key; its protected header names how the wrapping key is derived.
 * Throws `SOAKP_SEAL_WRONG` when what the operator gave does not open it, `SOAKP_SEAL_MISSING`, `SOAKP_SEAL_DAMAGED`.
 */
export async function openSeal(
  sealFile: string,
  databaseFile: string,
  configuration: UnsealConfiguration,
): Promise<Unsealed> {
  const isFirstStart = !existsSync(sealFile)
  if (isFirstStart && existsSync(databaseFile)) {
    const message = `${databaseFile} exists but its seal ${sealFile} does not. Restore the seal from a backup, or move the database away to begin anew.`
    throw new SoakpError(500, 'SOAKP_SEAL_MISSING', message)
  }
  const source = await loadUnsealSource(configuration, isFirstStart)
  return isFirstStart ? makeSeal(sealFile, source) : readSeal(sealFile, source)
}

async function makeSeal(sealFile: string, source: UnsealSource): Promise<Unsealed> {
  const root = randomBytes(32)
  const instance = randomUUID()
  const parameters = source.newParameters()
  const envelope = await new CompactEncrypt(root)
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: TYPE, sub: instance, source: source.kind, parameters })
    .encrypt(await source.wrappingKey(parameters))
  await writeDurably(sealFile, `${envelope}\n`, 0o600)
  return { root, instance, isNew: true }
}

async function readSeal(sealFile: string, source: UnsealSource): Promise<Unsealed> {
  const envelope = (await readFile(sealFile, 'utf8')).trim()
  const { parameters, instance, kind } = readHeader(sealFile, envelope)
  if (kind !== source.kind) {
    const wanted = kind === 'secret' ? 'SOAKP_SECRET' : 'SOAKP_ROOT_KEY_FILE (or its own root.key)'
    throw new SoakpError(500, 'SOAKP_SEAL_WRONG', `This vault was sealed with ${wanted}; set that one.`)
  }
  const wrappingKey = await source.wrappingKey(parameters)
  try {
    const { plaintext } = await compactDecrypt(envelope, wrappingKey, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    return { root: Buffer.from(plaintext), instance, isNew: false }
  } catch (cause) {
    const what = source.kind === 'secret' ? 'SOAKP_SECRET is not the secret' : 'The root key file is not the one'
    throw new SoakpError(500, 'SOAKP_SEAL_WRONG', `${what} that this vault was sealed with.`, { cause })
  }
}

function readHeader(sealFile: string, envelope: string) {
  try {
    const header = decodeProtectedHeader(envelope)
    const { typ, sub, source, parameters } = header as Record<string, unknown>
    if (typ === TYPE && typeof sub === 'string' && typeof parameters === 'object' && parameters !== null) {
      return { instance: sub, kind: source, parameters: parameters as UnsealParameters }
    }
  } catch {
    // Answered below: a file that is no JWE and one of another type need the same remedy.
  }
  throw new SoakpError(500, 'SOAKP_SEAL_DAMAGED', `${sealFile} is no seal of SOAKP. Restore it from a backup.`)
}
