import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { resolve } from 'node:path'
import { normaliseOrigin } from './base-url.ts'
import type { EnvironmentReader } from './environment.ts'
import { SoakpError } from './errors.ts'
import { settings } from './settings.ts'
import type { SettingName } from './settings.ts'

/** Returns the text of a variable, or its default. */
export function text(reader: EnvironmentReader, name: SettingName): string {
  return reader.text(name) ?? settings[name].default
}

/** Returns the text of a variable that must be set; `reason` says why. */
export function required(reader: EnvironmentReader, name: SettingName, reason: string): string {
  const value = reader.text(name)
  if (value === undefined) throw invalid(`${reason} needs ${name}.`)
  return value
}

/** Reads a whole number. */
export function whole(reader: EnvironmentReader, name: SettingName, least: number, most: number): number {
  const value = text(reader, name)
  const number = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN
  if (number >= least && number <= most) return number
  throw invalid(`${name} must be a whole number from ${least} to ${most}; it is "${value}".`)
}

/** Reads one of the words that are allowed. */
export function choice(reader: EnvironmentReader, name: SettingName, choices: readonly string[]): string {
  const value = text(reader, name)
  if (choices.includes(value)) return value
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
  return text(reader, name)
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
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

/** Reads the PEM file that `SOAKP_UPSTREAM_CA_FILE` names. */
export function readCertificates(file: string, workingDirectory: string): string {
  try {
    return readFileSync(resolve(workingDirectory, file), 'utf8')
  } catch (cause) {
    throw new SoakpError(500, 'SOAKP_CONFIGURATION', `SOAKP_UPSTREAM_CA_FILE names ${file}, which cannot be read.`, {
      cause,
    })
  }
}

/** Creates the error of a configuration that SOAKP does not start with. */
export function invalid(message: string): SoakpError {
  return new SoakpError(500, 'SOAKP_CONFIGURATION', message)
}
