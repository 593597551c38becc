import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'

/** Asserts that no secret is in any place, in whatever form it may travel unseen. */
export function isNowhere(
  t: Test,
  secrets: Readonly<Record<string, string>>,
  places: Readonly<Record<string, Buffer | string>>,
): void {
  for (const [place, given] of Object.entries(places)) {
    const bytes = Buffer.from(given)
    for (const [name, secret] of Object.entries(secrets)) {
      t.notOk(
        formsOf(secret).some((form) => bytes.includes(form)),
        `secret ${name} is not in ${place}`,
      )
    }
  }
}

/** Reads the files of a data folder, but for the root key. */
export async function readAll(folder: string): Promise<Buffer[]> {
  const names = await readdir(folder)
  const files = names.filter((name) => !name.endsWith('.sock') && name !== 'root.key')
  return Promise.all(files.map((name) => readFile(join(folder, name))))
}

/** The secret itself and the forms in which it may travel unseen. */
function formsOf(secret: string): Buffer[] {
  const bytes = Buffer.from(secret)
  // Base64 of it looks different in each of the three places where it can begin within a longer text; the letters at
  // the ends depend on what is around.
  const base64 = [0, 1, 2].map((skipped) => bytes.subarray(skipped, skipped + Math.floor((bytes.length - 2) / 3) * 3))
  return [
    secret,
    secret.slice(4, -4),
    encodeURIComponent(secret),
    bytes.toString('hex'),
    ...base64.flatMap((part) => [part.toString('base64'), part.toString('base64url')]),
  ].map((form) => Buffer.from(form))
}
