import { isIP } from 'node:net'
import { domainToASCII } from 'node:url'
import { SoakpError } from './errors.ts'

/** The most names that certificate authorities put into one certificate. */
const MOST_NAMES = 100

/** A DNS name has 253 letters at most, and `_acme-challenge.` is put in front of it. */
const MOST_LETTERS = 253 - '_acme-challenge.'.length

const LABEL = /^[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?$/

/** Zones that no public authority proves, as nobody owns their names: RFC 2606, 6761, 6762, 7686, 8375 and habit. */
const PRIVATE =
  /(?:^|\.)(?:local|internal|intranet|private|lan|home|corp|localdomain|test|example|invalid|onion|alt|home\.arpa)$/

/**
 * Normalises the names of a certificate: lower-case A-labels without a last dot and without doubles. A name that a
 * wildcard of the list covers is left out, as authorities refuse it, with a warning. `isPublic` says that the authority
 * is one of the Internet's. Throws `SOAKP_CONFIGURATION` with a sentence about the first name that cannot be.
 */
export function certificateNames(
  texts: readonly string[],
  isPublic: boolean,
): { names: readonly string[]; warnings: readonly string[] } {
  const all = [...new Set(texts.map((text) => certificateName(text, isPublic)))]
  const covered = all.filter((name) => all.includes(name.replace(/^[^.]+/, '*')) && !name.startsWith('*.'))
  const names = all.filter((name) => !covered.includes(name))
  if (names.length > MOST_NAMES) {
    throw invalid(`SOAKP_DOMAIN holds ${names.length} names; a certificate has ${MOST_NAMES} at most.`)
  }
  const warnings = covered.map(
    (name) => `SOAKP_DOMAIN holds ${name} beside the wildcard that covers it: the wildcard is ordered alone.`,
  )
  return { names, warnings }
}

/** Tells whether a name of a certificate, which may be a wildcard, is good for a host. */
export function coversHost(name: string, host: string): boolean {
  return name === host || (name.startsWith('*.') && host.replace(/^[^.]+/, '*') === name)
}

/** Tells whether two lists are of the same names. */
export function sameNames(some: readonly string[], others: readonly string[]): boolean {
  const [a, b] = [new Set(some), new Set(others)]
  return a.size === b.size && [...a].every((name) => b.has(name))
}

function certificateName(text: string, isPublic: boolean): string {
  const isWildcard = text.startsWith('*.')
  const base = (isWildcard ? text.slice(2) : text).replace(/\.$/, '')
  if (isIP(base.replace(/^\[|\]$/g, '')) !== 0) throw isAddress(text)
  if (base.includes('*')) {
    throw invalid(`SOAKP_DOMAIN holds "${text}": a wildcard stands for the first label only, as in *.example.com.`)
  }
  // These would be read as more than a name: a port, a path, an escape.
  const name = /^[^\s:/?#@%\\[\]]+$/.test(base) ? domainToASCII(base) : ''
  if (isIP(name) !== 0) throw isAddress(text)
  if (/(?:^|\.)localhost$/.test(name)) {
    const message = `SOAKP_DOMAIN holds "${text}", which is this machine only. Leave SOAKP_DOMAIN away: SOAKP then has a local authority.`
    throw invalid(message)
  }
  if (!isDomain(name)) {
    throw invalid(
      `SOAKP_DOMAIN must hold names like ai.example.com or *.example.com, comma separated; "${text}" is none.`,
    )
  }
  if (isPublic && PRIVATE.test(name)) {
    const message = `SOAKP_DOMAIN holds "${text}": no public authority gives certificates for such names. Use a name of a domain that you own, or an authority of your own in SOAKP_ACME_DIRECTORY.`
    throw invalid(message)
  }
  return isWildcard ? `*.${name}` : name
}

/** At least two labels; the last one of a domain is never a number. */
function isDomain(name: string): boolean {
  const labels = name.split('.')
  return (
    labels.length >= 2 &&
    name.length <= MOST_LETTERS &&
    labels.every((label) => LABEL.test(label)) &&
    !/^\d+$/.test(labels.at(-1) ?? '')
  )
}

function isAddress(text: string): SoakpError {
  const message = `SOAKP_DOMAIN holds the address "${text}": a certificate for it cannot be had by DNS, which proves names only. Give it a name.`
  return invalid(message)
}

function invalid(message: string): SoakpError {
  return new SoakpError(500, 'SOAKP_CONFIGURATION', message)
}
