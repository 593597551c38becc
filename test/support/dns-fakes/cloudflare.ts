import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { showRecord, showZone } from './cloudflare-shapes.ts'
import { jsonAnswer, startFakeServer } from './server.ts'
import type { FakeAnswer, FakeCall, FakeListener, FakeServer } from './server.ts'

/** A record as Cloudflare holds and shows it; what never changes in these tests is added when it is shown. */
export interface CloudflareRecord {
  readonly id: string
  name: string
  type: string
  content: string
  ttl: number
  comment: string | null
  readonly created: string
  modified: string
}

/** A zone of the account. */
export interface CloudflareZone {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly records: CloudflareRecord[]
}

/** A Cloudflare on loopback. The base URL of its API is `apiUrl`. */
export interface FakeCloudflare extends FakeServer {
  readonly apiUrl: string
  /** May do everything. */
  readonly token: string
  /** May read zones and nothing else. */
  readonly zoneToken: string
  /** May read and edit the first zone, and not list zones. */
  readonly scopedToken: string
  readonly email: string
  readonly key: string
  readonly zones: readonly CloudflareZone[]
  /** Writes as another program would. */
  write(record: { name: string; content: string; type?: string; ttl?: number }): CloudflareRecord
  records(name: string): readonly CloudflareRecord[]
}

/** What it is started with. */
export interface CloudflareOptions extends FakeListener {
  /** Names, or a name with a status other than `active`. */
  readonly zones: readonly (string | { readonly name: string; readonly status: string })[]
  /** No page is larger, whatever is asked for. */
  readonly pageSize?: number
}

const PREFIX = '/client/v4'
const LIMITED = [{ code: 971, message: 'Please wait and consider throttling your request speed' }]

/** The answer to too many calls. */
export const cloudflareLimit = (seconds: number): FakeAnswer =>
  failure(429, LIMITED, { 'retry-after': String(seconds) })

/** Starts Cloudflare's API as the recorded traffic shows it: zones and their DNS records. */
export async function startCloudflare(t: Test, options: CloudflareOptions): Promise<FakeCloudflare> {
  const { pageSize = 100 } = options
  const newId = () => randomBytes(16).toString('hex')
  const zones = options.zones.map((zone): CloudflareZone => {
    const { name, status } = typeof zone === 'string' ? { name: zone, status: 'active' } : zone
    return { id: newId(), name, status, records: [] }
  })
  const [token, zoneToken, scopedToken, key] = ['all', 'zone', 'scoped', 'key'].map((kind) => `${kind}-${newId()}`)
  const credentials = { token: `${token}`, zoneToken: `${zoneToken}`, scopedToken: `${scopedToken}`, key: `${key}` }
  const email = 'somebody@example.com'

  function authorise({ headers }: FakeCall): 'all' | 'zones' | 'scoped' | FakeAnswer {
    const { authorization } = headers
    if (authorization !== undefined) {
      if (!/^Bearer [\w-]+$/.test(authorization)) return failure(400, [MALFORMED])
      if (authorization === `Bearer ${credentials.token}`) return 'all'
      if (authorization === `Bearer ${credentials.zoneToken}`) return 'zones'
      if (authorization === `Bearer ${credentials.scopedToken}`) return 'scoped'
      return failure(403, [{ code: 9109, message: 'Invalid access token' }])
    }
    if (headers['x-auth-email'] === email && headers['x-auth-key'] === credentials.key) return 'all'
    return failure(403, [{ code: 9103, message: 'Unknown X-Auth-Key or X-Auth-Email' }])
  }

  function answer(call: FakeCall): FakeAnswer {
    const right = authorise(call)
    if (typeof right === 'object') return right
    const [, zoneId, part, recordId] = call.path.slice(PREFIX.length + 1).split('/')
    if (!call.path.startsWith(`${PREFIX}/zones`)) return failure(400, [{ code: 7003, message: 'No route' }])
    if (zoneId === undefined) return right === 'scoped' ? failure(403, [MAY_NOT_LIST]) : listZones(call)
    const zone = zones.find(({ id }) => id === zoneId)
    if (zone === undefined) return failure(404, [{ code: 7003, message: `Could not route to /zones/${zoneId}` }])
    if (right === 'scoped' && zone !== zones[0]) return failure(403, [FORBIDDEN])
    if (part === undefined) return success(showZone(zone))
    return right === 'zones' ? failure(403, [FORBIDDEN]) : answerRecords(zone, call, recordId)
  }

  function listZones({ query }: FakeCall): FakeAnswer {
    const name = query.get('name')
    return page(query, zones.filter((zone) => name === null || zone.name === name).map(showZone))
  }

  function answerRecords(zone: CloudflareZone, call: FakeCall, recordId: string | undefined): FakeAnswer {
    const { method, query } = call
    if (method === 'GET') {
      const isWanted = (field: 'type' | 'name' | 'content', value: string) =>
        query.get(field) === null || query.get(field)?.toLowerCase() === value.toLowerCase()
      const found = zone.records.filter(
        ({ type, name, content }) =>
          isWanted('type', type) &&
          isWanted('name', name) &&
          (isWanted('content', content) || isWanted('content', bare(content))),
      )
      return page(query, found.map(showRecord))
    }
    if (method === 'DELETE') {
      const index = zone.records.findIndex(({ id }) => id === recordId)
      if (index === -1) return failure(404, [{ code: 81_044, message: 'Record does not exist.' }])
      zone.records.splice(index, 1)
      return success({ id: recordId })
    }
    return method === 'POST' ? create(zone, call) : failure(405, [{ code: 10_405, message: 'Method not allowed' }])
  }

  function create(zone: CloudflareZone, { body, headers }: FakeCall): FakeAnswer {
    if (!headers['content-type']?.startsWith('application/json')) return failure(400, [MALFORMED])
    const { type, name, content, ttl = 1, comment = null } = JSON.parse(body) as Partial<CloudflareRecord>
    if (type === undefined || name === undefined || content === undefined || content === '') {
      return failure(400, [{ code: 9005, message: 'Content for the record is required.' }])
    }
    if (ttl !== 1 && (ttl < 60 || ttl > 86_400)) {
      return failure(400, [
        { code: 9021, message: 'Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic.' },
      ])
    }
    if (comment !== null && comment.length > 100) return failure(400, [{ code: 9206, message: 'Comment is too long.' }])
    const lower = name.toLowerCase()
    const full = lower === zone.name || lower.endsWith(`.${zone.name}`) ? lower : `${lower}.${zone.name}`
    const isThere = zone.records.some(
      (each) => each.type === type && each.name === full && bare(each.content) === bare(content),
    )
    if (isThere) return failure(400, [{ code: 81_058, message: 'An identical record already exists.' }])
    return success(showRecord(add(zone, { name: full, type, content, ttl, comment })))
  }

  function add(zone: CloudflareZone, fields: Pick<CloudflareRecord, 'name' | 'type' | 'content' | 'ttl' | 'comment'>) {
    const created = new Date().toISOString().replace('Z', '000Z')
    const record = { id: newId(), ...fields, created, modified: created }
    zone.records.push(record)
    return record
  }

  function page(query: URLSearchParams, items: readonly object[]): FakeAnswer {
    const [asked, number] = [Number(query.get('per_page') ?? 20), Number(query.get('page') ?? 1)]
    const size = Math.min(asked, pageSize)
    const shown = items.slice((number - 1) * size, number * size)
    const counts = { count: shown.length, total_count: items.length, total_pages: Math.ceil(items.length / size) }
    return success(shown, { result_info: { page: number, per_page: size, ...counts } })
  }

  const server = await startFakeServer(t, answer, options)
  return {
    ...server,
    ...credentials,
    email,
    zones,
    apiUrl: server.url + PREFIX,
    records: (name) => zones.flatMap(({ records }) => records.filter((record) => record.name === name)),

    write({ name, content, type = 'TXT', ttl = 3600 }) {
      const zone = zones.find((each) => name === each.name || name.endsWith(`.${each.name}`))
      if (zone === undefined) throw new Error(`No zone holds ${name}`)
      return add(zone, { name, type, content, ttl, comment: null })
    },
  }
}

const MALFORMED = { code: 6003, message: 'Invalid request headers' }
const FORBIDDEN = { code: 10_000, message: 'Authentication error' }
const MAY_NOT_LIST = {
  code: 0,
  message: "Actor 'com.cloudflare.api.token' requires permission 'com.cloudflare.api.account.zone.list' to list zones",
}

/** Quoted or not, and in however many pieces, it is the same record. */
const bare = (content: string) =>
  /^".*"$/.test(content) ? content.slice(1, -1).replaceAll('" "', '').replaceAll(/\\(.)/g, '$1') : content

function success(result: unknown, more: object = {}): FakeAnswer {
  return jsonAnswer(200, { result, success: true, errors: [], messages: [], ...more })
}

function failure(
  status: number,
  errors: readonly object[],
  headers: Readonly<Record<string, string>> = {},
): FakeAnswer {
  return jsonAnswer(status, { result: null, success: false, errors, messages: [] }, headers)
}
