import { existsSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Returns the folder of SOAKP's package.json: the sources lie beside it, what is built lies in its `dist`. */
export function packageFolder(): string {
  const besideSources = fileURLToPath(new URL('..', import.meta.url))
  return existsSync(join(besideSources, 'package.json')) ? besideSources : join(besideSources, '..')
}

/** Returns the version of SOAKP. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageFolder(), 'package.json'), 'utf8')) as { version: string }
  return version
}

/**
 * Returns a command line of SOAKP that works when pasted into a shell in the working folder: in a clone, beside an
 * installed package, and for a data folder other than the default one.
 */
export function commandLine(words: string, dataDir: string): string {
  const isDefault = dataDir === join(process.cwd(), 'data')
  return `${isDefault ? '' : `SOAKP_DATA_DIR=${shellWord(dataDir)} `}${command(words)}`
}

function command(words: string): string {
  const folder = join(packageFolder(), sep)
  if (folder.includes(`${sep}node_modules${sep}`)) return `npx soakp ${words}`
  if (folder === join(process.cwd(), sep)) return words === 'serve' ? 'npm start' : `npm run soakp ${words}`
  return `node ${shellWord(join(folder, 'bin', 'soakp.js'))} ${words}`
}

/** Returns a path as it is shortest from here. */
export function shortPath(path: string): string {
  const fromHere = relative(process.cwd(), path)
  // From the root folder, where systemd starts its services, a relative path would only look wrong.
  return fromHere !== '' && !fromHere.startsWith('..') && process.cwd() !== '/' ? fromHere : path
}

/** Quotes a word for a POSIX shell if it needs that. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}
