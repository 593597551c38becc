import { domainToASCII } from 'node:url'
import { normaliseName } from '../dns-wire/query-name.ts'

/** Returns a name as it is compared: A-labels in lower case, without the last dot. Some APIs answer U-labels. */
export function asciiName(name: string): string {
  const plain = normaliseName(name)
  return domainToASCII(plain) || plain
}
