import type { Test } from 'tap'
import { signV4 } from '../../../services/dns-core/sigv4.ts'
import { readName } from '../../../services/dns-core/txt-values.ts'
import { Secret } from '../../../services/secret.ts'
import { applyChanges, readChanges, showError, showSets, showZone, wrap } from './route53-documents.ts'
import type { Route53Set, Route53Zone } from './route53-documents.ts'
import { startFakeServer } from './server.ts'
import type { FakeAnswer, FakeCall, FakeListener, FakeServer } from './server.ts'

/** A Route 53 on loopback. The base URL of its API is `apiUrl`. */
export interface FakeRoute53 extends FakeServer {
  readonly apiUrl: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly zones: readonly Route53Zone[]
  /** Makes, replaces or, without values, deletes a record set as another program would; values as the API has them. */
  write(set: Partial<Route53Set> & Pick<Route53Set, 'name' | 'values'>): void
  /** The record set at a name of the public zone that holds it. */
  find(name: string): Route53Set | undefined
}

/** What it is started with. */
export interface Route53Options extends FakeListener {
  /** Names; private where it is said. */
  readonly zones: readonly (string | { readonly name: string; readonly isPrivate: true })[]
  /** No page is larger, whatever is asked for. */
  readonly pageSize?: number
  /** How often a change is told to be PENDING before it is INSYNC. */
  readonly pendingPolls?: number
}

const PREFIX = '/2013-04-01'

/** The answer to too many calls: a 400. */
export const route53Throttling: FakeAnswer = showError(400, 'Throttling', 'Rate exceeded')

/** The answer while another change of the zone is carried out. */
export const route53Busy: FakeAnswer = showError(
  400,
  'PriorRequestNotComplete',
  'The request was rejected because Route 53 was still processing a prior request.',
)

/** Starts Route 53's API as the recorded traffic shows it: hosted zones, record sets and changes. */
export async function startRoute53(t: Test, options: Route53Options): Promise<FakeRoute53> {
  const { pageSize = 100, pendingPolls = 1 } = options
  const accessKeyId = 'AKIDFAKEFAKEFAKEFAKE'
  const secretAccessKey = `secret/${Math.random()}+${process.pid}`
  const changes = new Map<string, number>()
  let counter = 0
  const zones = options.zones.map((zone): Route53Zone => {
    const { name, isPrivate } = typeof zone === 'string' ? { name: zone, isPrivate: false } : zone
    counter += 1
    const sets = [
      { name: `${name}.`, type: 'NS', ttl: 172_800, values: ['ns-1.awsdns-00.com.', 'ns-2.awsdns-00.net.'] },
      { name: `${name}.`, type: 'SOA', ttl: 900, values: ['ns-1.awsdns-00.com. hostmaster. 1 7200 900 1209600 86400'] },
    ]
    return { id: `Z0${process.pid}${counter}FAKE`, name: `${name}.`, isPrivate, sets }
  })

  function authorise({ headers, method, url, body }: FakeCall): FakeAnswer | undefined {
    const { authorization = '', 'x-amz-date': time = '' } = headers
    const [, id, region, signed, signature] =
      /Credential=([^/]+)\/\d{8}\/([\w-]+)\/route53\/aws4_request, ?SignedHeaders=([\w;-]+), ?Signature=(\w+)$/.exec(
        authorization,
      ) ?? []
    if (signature === undefined) return showError(403, 'MissingAuthenticationToken', 'Missing Authentication Token')
    if (id !== accessKeyId) {
      return showError(403, 'InvalidClientTokenId', 'The security token included in the request is invalid.')
    }
    const own = ['host', 'x-amz-date', 'x-amz-security-token']
    const names = (signed ?? '').split(';').filter((name) => !own.includes(name))
    const token = headers['x-amz-security-token']
    const key = {
      accessKeyId: new Secret(accessKeyId),
      secretAccessKey: new Secret(secretAccessKey),
      sessionToken: token === undefined ? undefined : new Secret(token),
      region: region ?? '',
      service: 'route53',
    }
    const now = Date.parse(time.replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)(\d\dZ)$/, '$1-$2-$3:$4:$5'))
    const signedHeaders = Object.fromEntries(names.map((name) => [name, headers[name] ?? '']))
    const expected = signV4({ method, url, body, headers: signedHeaders }, key, now)['authorization']
    if (expected?.endsWith(`Signature=${signature}`)) return undefined
    return showError(403, 'SignatureDoesNotMatch', 'The request signature we calculated does not match.')
  }

  function answer(call: FakeCall): FakeAnswer {
    const refused = authorise(call)
    if (refused !== undefined) return refused
    const { method, path, query } = call
    const [kind, id = '', part] = path.slice(PREFIX.length + 1).split('/')
    if (kind === 'hostedzonesbyname') return listByName(query)
    if (kind === 'hostedzone' && id === '') return listZones(query)
    if (kind === 'change') return showChange(id)
    const zone = zones.find((each) => each.id === id)
    if (zone === undefined || part !== 'rrset')
      return showError(404, 'NoSuchHostedZone', `No hosted zone found with ID: ${id}`)
    return method === 'GET' ? listSets(zone, query) : change(zone, call)
  }

  function listByName(query: URLSearchParams): FakeAnswer {
    const [from, fromId, size] = [query.get('dnsname'), query.get('hostedzoneid'), sizeOf(query)]
    const sorted = zones.toSorted((left, right) => compare(left.name, right.name) || (left.id < right.id ? -1 : 1))
    const start = sorted.findIndex((zone) => {
      const order = compare(zone.name, `${readName(from ?? '', 'octal')}.`)
      return from === null || order > 0 || (order === 0 && (fromId === null || zone.id >= fromId))
    })
    const rest = start === -1 ? [] : sorted.slice(start)
    const next = rest[size]
    const asked = from === null ? '' : `<DNSName>${from}</DNSName>`
    const more =
      next === undefined ? '' : `<NextDNSName>${next.name}</NextDNSName><NextHostedZoneId>${next.id}</NextHostedZoneId>`
    const list = `<HostedZones>${rest.slice(0, size).map(showZone).join('')}</HostedZones>`
    const end = `${asked}<IsTruncated>${next !== undefined}</IsTruncated>${more}<MaxItems>${size}</MaxItems>`
    return wrap('ListHostedZonesByNameResponse', list + end)
  }

  function listZones(query: URLSearchParams): FakeAnswer {
    const [marker, size] = [query.get('marker'), sizeOf(query)]
    const rest = zones.slice(
      Math.max(
        zones.findIndex(({ id }) => id === marker),
        0,
      ),
    )
    const next = rest[size]
    const more = next === undefined ? '' : `<NextMarker>${next.id}</NextMarker>`
    const list = `<HostedZones>${rest.slice(0, size).map(showZone).join('')}</HostedZones>`
    const end = `<IsTruncated>${next !== undefined}</IsTruncated>${more}<MaxItems>${size}</MaxItems>`
    return wrap('ListHostedZonesResponse', list + end)
  }

  function listSets(zone: Route53Zone, query: URLSearchParams): FakeAnswer {
    const [from, fromType, size] = [query.get('name'), query.get('type') ?? '', sizeOf(query)]
    const sorted = zone.sets.toSorted(
      (left, right) => compare(left.name, right.name) || (left.type < right.type ? -1 : 1),
    )
    const rest = sorted.filter(({ name, type }) => {
      const order = from === null ? 1 : compare(name, `${readName(from, 'octal')}.`)
      return order > 0 || (order === 0 && type >= fromType)
    })
    return showSets(rest.slice(0, size), rest[size], size)
  }

  function change(zone: Route53Zone, { body }: FakeCall): FakeAnswer {
    const batch = readChanges(body)
    if (batch === undefined) return showError(400, 'InvalidInput', 'Invalid XML ; the request body is no change batch')
    const problems = applyChanges(zone, batch.changes)
    if (problems.length > 0) return showError(400, 'InvalidChangeBatch', `[${problems.join(', ')}]`)
    counter += 1
    const id = `C${counter}${process.pid}FAKE`
    changes.set(id, pendingPolls)
    return wrap('ChangeResourceRecordSetsResponse', showInfo(id, 'PENDING', batch.comment))
  }

  function showChange(id: string): FakeAnswer {
    const left = changes.get(id)
    if (left === undefined) return showError(404, 'NoSuchChange', `Could not find resource with ID: ${id}`)
    changes.set(id, left - 1)
    return wrap('GetChangeResponse', showInfo(id, left > 0 ? 'PENDING' : 'INSYNC', undefined))
  }

  const sizeOf = (query: URLSearchParams) => Math.min(Number(query.get('maxitems') ?? 100), pageSize)
  const server = await startFakeServer(t, answer, options)

  function find(name: string): Route53Set | undefined {
    const full = `${name}.`
    const holders = zones.filter((zone) => !zone.isPrivate && (full === zone.name || full.endsWith(`.${zone.name}`)))
    return holders.flatMap(({ sets }) => sets).find((set) => set.type === 'TXT' && set.name === full)
  }

  return {
    ...server,
    accessKeyId,
    secretAccessKey,
    zones,
    find,
    apiUrl: server.url + PREFIX,

    write({ name, values, ttl = 300, type = 'TXT', ...more }) {
      const full = `${name}.`
      const zone = zones
        .filter((each) => full === each.name || full.endsWith(`.${each.name}`))
        .toSorted((left, right) => right.name.length - left.name.length)[0]
      if (zone === undefined) throw new Error(`No zone holds ${name}`)
      const others = zone.sets.filter((set) => set.name !== full || set.type !== type)
      const own = values.length === 0 ? [] : [{ name: full, type, ttl, values, ...more }]
      zone.sets.splice(0, zone.sets.length, ...others, ...own)
    },
  }
}

/** Route 53 orders names by their labels from the last to the first. */
function compare(left: string, right: string): number {
  const [one, other] = [left, right].map((name) => name.toLowerCase().split('.').toReversed().join('.'))
  return `${one}` < `${other}` ? -1 : `${one}` > `${other}` ? 1 : 0
}

function showInfo(id: string, status: string, comment: string | undefined): string {
  const time = new Date().toISOString()
  const said = comment === undefined ? '' : `<Comment>${comment}</Comment>`
  return `<ChangeInfo><Id>/change/${id}</Id><Status>${status}</Status><SubmittedAt>${time}</SubmittedAt>${said}</ChangeInfo>`
}
