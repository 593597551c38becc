import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { normaliseOrigin } from './base-url.ts'
import type { EnvironmentReader } from './environment.ts'
import { SoakpError } from './errors.ts'
import { settings } from './settings.ts'
import type { SettingName } from './settings.ts'

/** Returns the text of a variable, or its default; `otherwise` is the default where another setting changes it. */
export function text(reader: EnvironmentReader, name: SettingName, otherwise?: string): string {
  return reader.text(name) ?? otherwise ?? settings[name].default
}

/** Returns the text of a variable that must be set; `reason` says why. */
export function required(reader: EnvironmentReader, name: SettingName, reason: string): string {
  const value = reader.text(name)
  if (value === undefined) throw invalid(`${reason} needs ${name}.`)
  return value
}

/** Reads a whole number. */
export function whole(
  reader: EnvironmentReader,
  name: SettingName,
  least: number,
  most: number,
  otherwise?: string,
): number {
  const value = text(reader, name, otherwise)
  const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN
  if (number >= least && number <= most) return number
  throw invalid(`${name} must be a whole number from ${least} to ${most}; it is "${value}".`)
}

/** Reads one of the words that are allowed. */
export function choice<Word extends string>(
  reader: EnvironmentReader,
  name: SettingName,
  choices: readonly Word[],
): Word {
  const value = text(reader, name)
  const chosen = choices.find((each) => each === value)
  if (chosen !== undefined) return chosen
  throw invalid(`${name} must be one of ${choices.join(', ')}; it is "${value}".`)
}

/** Reads yes or no, as people spell them. */
export function isYes(reader: EnvironmentReader, name: SettingName): boolean {
  const value = text(reader, name).toLowerCase()
  if (['yes', 'true', '1', 'on'].includes(value)) return true
  if (['no', 'false', '0', 'off'].includes(value)) return false
  throw invalid(`${name} must be yes or no; it is "${value}".`)
}

function list(reader: EnvironmentReader, name: SettingName): string[] {
  return parts(text(reader, name))
}

/** Returns what is between the commas of a text, without blanks and doubles. */
export function parts(value: string): string[] {
  const all = value.split(',').map((each) => each.trim())
  return [...new Set(all.filter((each) => each !== ''))]
}

/** Reads origins such as `https://app.example.com`. */
export function origins(reader: EnvironmentReader, name: SettingName): string[] {
  return list(reader, name).map((each) => normaliseOrigin(each, name))
}

/** Reads addresses and CIDR ranges. A range of all addresses would believe anybody's `X-Forwarded-For`. */
export function networks(reader: EnvironmentReader, name: SettingName): string[] {
  return list(reader, name).map((each) => {
    const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(each) ?? []
    const most = { 0: 0, 4: 32, 6: 128 }[isIP(address)] ?? 0
    const length = prefix === undefined ? most : Number(prefix)
    if (length >= 1 && length <= most) return each
    throw invalid(`${name} must hold addresses or CIDR ranges like 10.0.0.5 or 10.0.0.0/8; "${each}" is none.`)
  })
}

/** Reads the PEM file of roots that a variable names; undefined when it names none. */
export function readCertificates(
  reader: EnvironmentReader,
  name: 'SOAKP_UPSTREAM_CA_FILE' | 'SOAKP_ACME_CA_FILE',
  workingDirectory: string,
): string | undefined {
  const file = reader.text(name)
  if (file === undefined) return undefined
  try {
    return readFileSync(resolve(workingDirectory, file), 'utf8')
  } catch (cause) {
    throw new SoakpError(500, 'SOAKP_CONFIGURATION', `${name} names ${file}, which cannot be read.`, { cause })
  }
}

/** Creates the error of a configuration that SOAKP does not start with. */
export function invalid(message: string): SoakpError {
  return new SoakpError(500, 'SOAKP_CONFIGURATION', message)
}
