import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { DnsVariable } from './dns-variables.ts'
import { SoakpError } from './errors.ts'
import { settingsByName } from './settings.ts'
import type { SettingName } from './settings.ts'

/** Environment variables, as `process.env` has them. */
export type Environment = Record<string, string | undefined>

/** The text of a variable and the name that it is set under. */
export interface FoundText {
  readonly name: string
  readonly text: string
}

/** Reads configuration variables one by one and collects what the operator should be told. */
export interface EnvironmentReader {
  /** Returns the text of a variable, or undefined when it is not set or empty. */
  text(name: SettingName): string | undefined
  /** Returns a variable or, where only its old names are set, all of those. */
  found(name: SettingName): readonly FoundText[]
  /** Returns the text of a variable of a DNS provider, under its own name or an alias; undefined when none is set. */
  credential(name: string, variable: DnsVariable): string | undefined
  readonly warnings: readonly string[]
}

/**
 * Creates a reader of `environment`. A secret is looked for in `<NAME>_FILE`, in the systemd credentials folder, in
 * `/run/secrets` and last in the variable itself, which is deleted once read. Old names are accepted with a warning.
 */
export function createEnvironmentReader(environment: Environment): EnvironmentReader {
  const warnings = unknownNames(environment)
  const used = new Set<string>()

  /** What is set under a setting's name or, without that, under its old ones. */
  function* look(name: SettingName): Generator<FoundText> {
    const setting = settingsByName[name]
    const names = [name, ...(setting?.aliases ?? [])]
    const values = names.map((each) => (setting?.isSecret ? secretText(environment, each) : environment[each]?.trim()))
    for (const [index, each] of names.entries()) {
      const value = values[index]
      if (value === undefined || value === '') continue
      if (each !== name && !used.has(each)) warnings.push(`${each} is the old name of ${name}; set ${name} instead.`)
      used.add(each)
      yield { name: each, text: value }
      if (each === name) return
    }
  }

  return {
    text(name) {
      for (const { text } of look(name)) return text
      return undefined
    },

    found: (name) => [...look(name)],

    credential(name, { aliases = [], isSecret = false }) {
      const values = [name, ...aliases].map((each) => secretText(environment, each, isSecret))
      return values.find((value) => value !== undefined && value.trim() !== '')?.trim()
    },

    warnings,
  }
}

function secretText(environment: Environment, name: string, isDeleted = true): string | undefined {
  const value = environment[name]
  if (isDeleted) delete environment[name]
  const folders = [environment['CREDENTIALS_DIRECTORY'], '/run/secrets'].filter((folder) => folder !== undefined)
  const file =
    environment[`${name}_FILE`]?.trim() ||
    folders.map((folder) => join(folder, name.toLowerCase())).find((each) => existsSync(each))
  return file === undefined ? value : readSecret(file, name)
}

/** Reads a secret without the newline that editors put at the end. An empty file is a mistake, not the absence of one. */
function readSecret(file: string, name: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (cause) {
    throw new SoakpError(500, 'SOAKP_CONFIGURATION', unreadable(file, name), {
      cause: isPath(file) ? cause : undefined,
    })
  }
  if (text.trim() !== '') return text
  throw new SoakpError(500, 'SOAKP_CONFIGURATION', `${name} is to be read from ${file}, which is empty.`)
}

function unreadable(file: string, name: string): string {
  return isPath(file)
    ? `${name} is to be read from ${file}, which fails. See that the file is there and may be read.`
    : `${name}_FILE names no file that can be read. It is for the path of a file, not for the secret itself.`
}

/** What does not begin as a path does may be the secret, in the wrong variable, and is not repeated. */
function isPath(file: string): boolean {
  return /^(?:\.{0,2}\/|[A-Za-z]:\\)/.test(file)
}

function unknownNames(environment: Environment): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('SOAKP_'))
    .filter((name) => !(name in settingsByName) && settingsByName[name.replace(/_FILE$/, '')]?.isSecret !== true)
    .map((name) => `${name} is no setting of SOAKP and is ignored. The README lists them all.`)
}
