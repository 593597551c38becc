import { asciiName } from '../dns-core/ascii-name.ts'
import { readCredentials } from '../dns-core/credentials.ts'
import type { Credentials } from '../dns-core/credentials.ts'
import { createHttpApi } from '../dns-core/http-api.ts'
import type { HttpFault } from '../dns-core/http-api.ts'
import { objectOf, objectsOf, parseObject, stringOf } from '../dns-core/json-fields.ts'
import type { JsonObject } from '../dns-core/json-fields.ts'
import { quoteTxt, readTxt } from '../dns-core/txt-values.ts'
import type { HttpAnswer } from '../http-exchange.ts'
import { DnsProviderError } from '../dns-errors.ts'
import { isWithin, suffixesOf } from '../dns-wire/query-name.ts'
import type { AppendingProvider, ProviderOptions, Zone } from './index.ts'

const TITLE = 'Cloudflare'
const API_URL = 'https://api.cloudflare.com/client/v4'

/** The least that zones of a free plan take. */
const TTL_SECONDS = 120
const PAGE_SIZE = 100
const MOST_PAGES = 100

/** By it an operator recognises a record that a killed SOAKP left behind. */
const COMMENT = 'ACME challenge of SOAKP, removed when it is over'

/** "Identical record exists": somebody else's, or ours of an attempt whose answer was lost. */
const ALREADY_THERE = [81_057, 81_058]
const ALREADY_GONE = [81_044]

/** Creates the provider for Cloudflare's API, https://developers.cloudflare.com/api. */
export function createProvider(options: ProviderOptions): AppendingProvider {
  const credentials = readCredentials('cloudflare', TITLE, options)
  const pinnedZoneId = readZoneId(credentials)
  const recordsApi = openApi(options, credentials, 'CF_DNS_API_TOKEN')
  const hasZoneToken = credentials.find('CF_ZONE_API_TOKEN') !== undefined
  const zonesApi = hasZoneToken ? openApi(options, credentials, 'CF_ZONE_API_TOKEN') : recordsApi

  async function findZone(name: string, signal: AbortSignal): Promise<Zone | undefined> {
    if (pinnedZoneId !== undefined) {
      const zone = readZone(objectOf(await zonesApi.json('GET', `/zones/${pinnedZoneId}`, { signal }))['result'])
      if (zone === undefined) throw zonesApi.notUnderstood('without a zone')
      return isWithin(name, zone.name) ? zone : undefined
    }
    // No zone is a top-level domain.
    for (const candidate of suffixesOf(name).slice(1).toReversed()) {
      const query = { name: candidate, per_page: '50' }
      const answer = objectOf(await zonesApi.json('GET', '/zones', { signal, query }))
      const found = objectsOf(answer['result'])?.filter((zone) => nameOf(zone) === candidate)
      if (found === undefined) throw zonesApi.notUnderstood('without zones')
      if (found.length > 0) return onlyZone(candidate, found)
    }
    return undefined
  }

  /** All TXT records at a name, over all pages. */
  async function readRecords(zone: Zone, name: string, signal: AbortSignal) {
    const records: { readonly id: string; readonly value: string }[] = []
    for (let page = 1; page <= MOST_PAGES; page += 1) {
      const query = { type: 'TXT', name, page: `${page}`, per_page: `${PAGE_SIZE}` }
      const answer = objectOf(await recordsApi.json('GET', recordsPath(zone), { signal, query }))
      const found = objectsOf(answer['result'])
      if (found === undefined) throw recordsApi.notUnderstood('without records')
      for (const record of found) {
        if (record['type'] !== 'TXT' || nameOf(record) !== name) continue
        records.push({ id: idOf(record['id']), value: readTxt(stringOf(record['content']) ?? '') })
      }
      const total = objectOf(answer['result_info'])['total_pages']
      if (found.length === 0 || typeof total !== 'number' || page >= total) return records
    }
    throw new DnsProviderError(
      'cloudflare',
      'refused',
      `${TITLE} has too many TXT records at ${name}: remove old ones.`,
    )
  }

  return {
    writes: 'values',
    valuesPerName: 'many',
    findZone,

    async add({ zone, name, value }, signal) {
      const body = { type: 'TXT', name, content: quoteTxt(value), ttl: TTL_SECONDS, comment: COMMENT }
      const text = { type: 'application/json', text: JSON.stringify(body) }
      await recordsApi.call('POST', recordsPath(zone), { signal, body: text, isFine: saysOneOf(ALREADY_THERE) })
    },

    async remove({ zone, name, value }, signal) {
      const records = await readRecords(zone, name, signal)
      for (const { id } of records.filter((record) => record.value === value)) {
        await recordsApi.call('DELETE', `${recordsPath(zone)}/${id}`, { signal, isFine: saysOneOf(ALREADY_GONE) })
      }
    },

    list: async (zone, name, signal) => (await readRecords(zone, name, signal)).map(({ value }) => value),

    async close() {
      await Promise.all([recordsApi.close(), zonesApi.close()])
    },
  }
}

function openApi(
  options: ProviderOptions,
  credentials: Credentials,
  tokenName: 'CF_DNS_API_TOKEN' | 'CF_ZONE_API_TOKEN',
) {
  const token = credentials.find(tokenName)
  const [email, key] = [credentials.find('CF_API_EMAIL'), credentials.find('CF_API_KEY')]
  if (token === undefined && (email === undefined || key === undefined)) {
    return credentials.fail('set CF_DNS_API_TOKEN to an API token with Zone:Read and DNS:Edit for the zone.')
  }
  return createHttpApi({
    provider: 'cloudflare',
    title: TITLE,
    baseUrl: options.apiUrl ?? API_URL,
    clock: options.clock,
    secrets: [token, email, key],
    authorize: () =>
      token === undefined
        ? { 'x-auth-email': email?.reveal() ?? '', 'x-auth-key': key?.reveal() ?? '' }
        : { authorization: `Bearer ${token.reveal()}` },
    readFault,
    credentialsAdvice:
      token === undefined
        ? 'Do CF_API_EMAIL and the global key CF_API_KEY belong together?'
        : `Does the token of ${tokenName} have Zone:Read and DNS:Edit for this zone? One that may not list zones needs CF_ZONE_ID.`,
  })
}

function readZoneId(credentials: Credentials): string | undefined {
  const id = credentials.find('CF_ZONE_ID')?.reveal()
  if (id === undefined || /^[\da-f]{32}$/i.test(id)) return id
  return credentials.fail("CF_ZONE_ID must be the zone's id, 32 hexadecimal digits; the zone's overview page shows it.")
}

/** A zone may stand in several accounts, of which one is in force. */
function onlyZone(name: string, found: readonly JsonObject[]): Zone {
  const active = found.filter(({ status }) => status === 'active')
  const [first, ...others] = (active.length > 0 ? active : found).map(readZone)
  if (first !== undefined && others.length === 0 && active.length > 0) return first
  const problem =
    active.length === 0
      ? `${TITLE} holds ${name}, but it is not active: set its name servers at your registrar.`
      : `${TITLE} has several zones ${name}: set CF_ZONE_ID to the one that is meant.`
  throw new DnsProviderError('cloudflare', 'zone', problem)
}

function readZone(value: unknown): Zone | undefined {
  const zone = objectOf(value)
  const name = nameOf(zone)
  return name === undefined ? undefined : { name, id: idOf(zone['id']) }
}

function nameOf({ name }: JsonObject): string | undefined {
  return typeof name === 'string' ? asciiName(name) : undefined
}

const recordsPath = ({ id }: Zone) => `/zones/${idOf(id)}/dns_records`

/** What goes into a path must not lead elsewhere. */
function idOf(value: unknown): string {
  if (typeof value === 'string' && /^[\w-]+$/.test(value)) return value
  throw new DnsProviderError('cloudflare', 'unreachable', `${TITLE} gave an answer without an id that is one.`)
}

function errorsOf({ text }: HttpAnswer): readonly { readonly code: number; readonly message: string }[] {
  const errors = objectsOf(parseObject(text)['errors']) ?? []
  return errors.map(({ code, message }) => ({ code: Number(code), message: stringOf(message) ?? '' }))
}

const saysOneOf = (codes: readonly number[]) => (answer: HttpAnswer) =>
  errorsOf(answer).some(({ code }) => codes.includes(code))

/** Their codes for credentials come with 400 and 403 alike; 971 is the limit of calls. */
const CREDENTIALS = [1009, 6003, 6103, 6111, 9103, 9106, 9107, 9109, 10_000, 10_001]
const LIMIT = [971, 10_013]

function readFault(answer: HttpAnswer): HttpFault {
  const errors = errorsOf(answer)
  const has = (codes: readonly number[]) => errors.some(({ code }) => codes.includes(code))
  const kind = has(LIMIT) ? 'limit' : answer.status < 500 && has(CREDENTIALS) ? 'credentials' : undefined
  return { kind, said: errors.map(({ code, message }) => `${message} (code ${code})`).join('; ') }
}
