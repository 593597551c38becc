import { PracticeError } from './errors.ts'

/** Throws OpenAI's 401 unless the header holds `Bearer` and an accepted key. */
export function checkKey(authorization: string | undefined, keys: ReadonlySet<string>): void {
  const key = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  if (key === undefined) throw missingKey()
  if (keys.has(key)) return
  const message = `Incorrect API key provided: ${maskKey(key)}. You can find your API key at ${keysPage}.`
  throw new PracticeError(401, message, { code: 'invalid_api_key' })
}

const keysPage = 'https://platform.openai.com/account/api-keys'

/** Hides a key as OpenAI does in its 401: the first eight and the last four characters stay. */
function maskKey(key: string): string {
  if (key.length <= 12) return '*'.repeat(key.length)
  return key.slice(0, 8) + '*'.repeat(key.length - 12) + key.slice(-4)
}

function missingKey(): PracticeError {
  const message =
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth " +
    '(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you’re accessing the ' +
    `API from your browser and are prompted for a username and password. You can obtain an API key from ${keysPage}.`
  return new PracticeError(401, message, { headers: { 'www-authenticate': 'Basic realm="OpenAI API"' } })
}
