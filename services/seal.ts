import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader, errors } from 'jose'
import type { UnsealConfiguration } from './configuration.ts'
import { SoakpError, hasErrorCode } from './errors.ts'
import { createDurably } from './files.ts'
import { loadUnsealSource } from './unseal/index.ts'
import type { UnsealParameters, UnsealSource } from './unseal/index.ts'

/** What an opened seal gives: the root key that all others are derived from, and the name of this instance. */
export interface OpenedSeal {
  /** 32 random bytes, made once. */
  readonly root: Buffer
  /** A UUID that tokens and envelopes name as their issuer. */
  readonly instance: string
}

const TYPE = 'soakp-root+jwe'
const ROOT_BYTES = 32

/**
 * Opens the seal file, or makes it when neither it nor `databaseFile` exists. The file is one compact JWE (RFC 7516,
 * `dir` + `A256GCM`) of the root key; its protected header names how the wrapping key is derived.
 * Throws `SOAKP_SEAL_WRONG` when what the operator gave does not open it, `SOAKP_SEAL_MISSING`, `SOAKP_SEAL_DAMAGED`.
 */
export async function openSeal(
  sealFile: string,
  databaseFile: string,
  configuration: UnsealConfiguration,
): Promise<OpenedSeal> {
  // Asked first: another SOAKP that starts at this moment writes the seal before the database.
  const hasDatabase = existsSync(databaseFile)
  const envelope = await readEnvelope(sealFile)
  if (envelope !== undefined) return openEnvelope(sealFile, envelope, configuration)
  if (hasDatabase) {
    const message = `${databaseFile} exists but its seal ${sealFile} does not. Restore the seal from a backup, or move the database away to begin anew.`
    throw new SoakpError(500, 'SOAKP_SEAL_MISSING', message)
  }
  const made = await makeSeal(sealFile, await loadUnsealSource(configuration, true))
  return made ?? openSeal(sealFile, databaseFile, configuration)
}

/** Makes the seal; undefined when somebody else was quicker. */
async function makeSeal(sealFile: string, source: UnsealSource): Promise<OpenedSeal | undefined> {
  const root = randomBytes(ROOT_BYTES)
  const instance = randomUUID()
  const parameters = source.newParameters()
  const envelope = await new CompactEncrypt(root)
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', typ: TYPE, sub: instance, source: source.kind, parameters })
    .encrypt(await source.wrappingKey(parameters))
  const isMade = await createDurably(sealFile, `${envelope}\n`, 0o600)
  return isMade ? { root, instance } : undefined
}

async function readEnvelope(sealFile: string): Promise<string | undefined> {
  try {
    return (await readFile(sealFile, 'utf8')).trim()
  } catch (cause) {
    if (hasErrorCode(cause, 'ENOENT')) return undefined
    const message = `The seal ${sealFile} cannot be read. Give this user the file.`
    throw new SoakpError(500, 'SOAKP_SEAL_UNREADABLE', message, { cause })
  }
}

async function openEnvelope(
  sealFile: string,
  envelope: string,
  configuration: UnsealConfiguration,
): Promise<OpenedSeal> {
  const { parameters, instance, kind } = readHeader(sealFile, envelope)
  if (kind !== configuration.kind) throw wrongKind(sealFile, kind)
  const source = await loadUnsealSource(configuration, false)
  const wrappingKey = await source.wrappingKey(parameters)
  try {
    const { plaintext } = await compactDecrypt(envelope, wrappingKey, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    if (plaintext.length === ROOT_BYTES) return { root: Buffer.from(plaintext), instance }
  } catch (cause) {
    if (!(cause instanceof errors.JWEDecryptionFailed)) throw damaged(sealFile, cause)
    const what = configuration.kind === 'secret' ? 'SOAKP_SECRET' : `The root key file ${configuration.file}`
    const message = `${what} is not the one that this vault was sealed with (or ${sealFile} is damaged).`
    throw new SoakpError(500, 'SOAKP_SEAL_WRONG', message, { cause })
  }
  throw damaged(sealFile)
}

function readHeader(sealFile: string, envelope: string) {
  try {
    const { typ, sub, source, parameters } = decodeProtectedHeader(envelope) as Record<string, unknown>
    if (typ === TYPE && typeof sub === 'string' && typeof parameters === 'object' && parameters !== null) {
      return { instance: sub, kind: source, parameters: parameters as UnsealParameters }
    }
  } catch {
    // Answered below: a file that is no JWE and one of another type need the same remedy.
  }
  throw damaged(sealFile)
}

function wrongKind(sealFile: string, kind: unknown): SoakpError {
  const ownKeyFile = join(dirname(sealFile), 'root.key')
  const messages: Record<string, string> = {
    secret: 'This vault was sealed with a secret string: set SOAKP_SECRET to it, and no SOAKP_ROOT_KEY_FILE.',
    'key-file': `This vault was sealed with a root key file: set SOAKP_ROOT_KEY_FILE to it (SOAKP's own is ${ownKeyFile}), and no SOAKP_SECRET.`,
  }
  const message =
    messages[String(kind)] ?? `This vault was sealed by a newer SOAKP ("${String(kind)}"). Start that one.`
  return new SoakpError(500, 'SOAKP_SEAL_WRONG', message)
}

function damaged(sealFile: string, cause?: unknown): SoakpError {
  const message = `${sealFile} is damaged or no seal of SOAKP. Restore it from a backup.`
  return new SoakpError(500, 'SOAKP_SEAL_DAMAGED', message, { cause })
}
