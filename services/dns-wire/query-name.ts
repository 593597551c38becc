/** Writes a DNS name as SOAKP compares it: lower case, without the last dot. */
export function normaliseName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '')
}

/** Tells whether a name can be asked for: labels of 1 to 63 printable ASCII characters, 253 in all (RFC 1035 section 2.3.4). */
export function isAskable(name: string): boolean {
  return name.length <= 253 && name.split('.').every((label) => /^[\x21-\x7e]{1,63}$/.test(label))
}

/** Tells whether a name is a zone's or below it, compared at label boundaries: `badexample.com` is not in `example.com`. */
export function isWithin(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`)
}

/** Returns what a name ends with, from its top-level domain to itself: `com`, `example.com`, `ai.example.com`. */
export function suffixesOf(name: string): string[] {
  const labels = name.split('.')
  return labels.map((_, index) => labels.slice(labels.length - 1 - index).join('.'))
}

/** Returns the name one label up; the empty name above a top-level domain. */
export function parentOf(name: string): string {
  const dot = name.indexOf('.')
  return dot === -1 ? '' : name.slice(dot + 1)
}
