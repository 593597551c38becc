import type { Secret } from '../secret.ts'

/** Shorter ones would blot out ordinary words; no provider's credential is. */
const SHORTEST = 4

/** Creates the function that makes foreign text fit to be shown: one line, without secrets in any usual encoding. */
export function createRedactor(secrets: readonly (Secret | undefined)[]): (text: string) => string {
  const texts = secrets.flatMap((secret) => (secret === undefined ? [] : [secret.reveal()]))
  const forms = texts
    .filter((text) => text.length >= SHORTEST)
    .flatMap((text) => {
      const base64 = Buffer.from(text).toString('base64')
      return [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1), base64, base64.replace(/=+$/, '')]
    })
    .toSorted((left, right) => right.length - left.length)
  return (text) => {
    const line = forms.reduce((left, form) => left.replaceAll(form, '[secret]'), text)
    return line.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
  }
}
