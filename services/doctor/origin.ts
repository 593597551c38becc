import { normaliseOrigin } from '../base-url.ts'
import type { Configuration } from '../configuration.ts'
import type { Token } from '../tokens.ts'
import { fault, ok, skipped } from './finding.ts'
import type { Result } from './finding.ts'
import type { VaultAccess } from './vault.ts'

/** Pages of 100 tokens that are looked through. */
const MOST_PAGES = 50
const MOST_NAMED = 5

/**
 * Checks whether pages of an origin may call: by asking as a browser does before it lets a page, and by looking for the
 * tokens that name it.
 */
export async function checkOrigin(
  access: VaultAccess,
  { allowedOrigins }: Configuration,
  given: string | undefined,
): Promise<Result> {
  if (given === undefined) return ok('None was asked about: --origin https://app.example.com does.')
  const origin = normaliseOrigin(given, '--origin')
  const headers = { origin, 'access-control-request-method': 'POST' }
  const preflight = await access.ask('OPTIONS', '/v1/chat/completions', headers).catch(() => undefined)
  if (preflight === undefined) return skipped('Not checked: there is no vault yet.')
  const tokens = await tokensNaming(access, origin)
  const named = tokens.slice(0, MOST_NAMED).join(', ') + (tokens.length > MOST_NAMED ? ', …' : '')
  if (preflight.status === 204) {
    if (tokens.length === 0) return ok(`Pages of ${origin} may call, with tokens that name no origin of their own.`)
    const others = allowedOrigins.includes(origin) ? ', and with those that name no origin' : ''
    return ok(`Pages of ${origin} may call with the tokens that name it: ${named}${others}.`)
  }
  const remedy = `Add it to SOAKP_ALLOWED_ORIGINS, or mint a token for it: \`soakp tokens add --origin ${origin}\`.`
  return fault(`Pages of ${origin} may not call: neither SOAKP_ALLOWED_ORIGINS nor a token names it.`, remedy)
}

async function tokensNaming(access: VaultAccess, origin: string): Promise<string[]> {
  const found: string[] = []
  let after = ''
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { value } = await access.ask('GET', `/soakp/tokens?limit=100${after}`)
    const { data, has_more } = value as { data: readonly Token[]; has_more: boolean }
    const live = data.filter(({ revoked_at, expires_at }) => revoked_at === null && expires_at * 1_000 > Date.now())
    found.push(...live.filter(({ origins }) => origins.includes(origin)).map(({ id }) => id))
    const last = data.at(-1)
    if (!has_more || last === undefined) break
    after = `&after=${last.id}`
  }
  return found
}
