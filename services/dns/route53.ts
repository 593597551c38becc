import { readCredentials } from '../dns-core/credentials.ts'
import type { Credentials } from '../dns-core/credentials.ts'
import { createHttpApi } from '../dns-core/http-api.ts'
import type { HttpApi } from '../dns-core/http-api.ts'
import { readRoute53Fault, requestOf, setOf } from '../dns-core/route53-documents.ts'
import type { RecordSet } from '../dns-core/route53-documents.ts'
import { signV4 } from '../dns-core/sigv4.ts'
import { quoteTxt, readName, readTxt } from '../dns-core/txt-values.ts'
import { elementsAt, readXml, textAt } from '../dns-core/xml.ts'
import type { XmlElement } from '../dns-core/xml.ts'
import { DnsProviderError } from '../dns-errors.ts'
import { isWithin, suffixesOf } from '../dns-wire/query-name.ts'
import type { ProviderOptions, ReplacingProvider, TxtSet, Zone } from './index.ts'

const TITLE = 'Amazon Route 53'
const TTL_SECONDS = 10
const MOST_PAGES = 100

/** Route 53 allows an account five calls a second, all of its programs together. */
const POLL_MS = 4000
const MOST_POLLS = 60

/** Where the global service of a partition is, and the region its calls are signed for. */
const PARTITIONS = [
  { prefix: 'cn-', region: 'cn-northwest-1', url: 'https://route53.amazonaws.com.cn/2013-04-01' },
  { prefix: 'us-gov-', region: 'us-gov-west-1', url: 'https://route53.us-gov.amazonaws.com/2013-04-01' },
  { prefix: '', region: 'us-east-1', url: 'https://route53.amazonaws.com/2013-04-01' },
]

/**
 * Creates the provider for Route 53, https://docs.aws.amazon.com/Route53/latest/APIReference. Record sets are replaced:
 * a change batch that deletes what was read and creates what shall be is refused as a whole when somebody else has
 * written in between, for a deletion must repeat all values and the TTL.
 */
export function createProvider(options: ProviderOptions): ReplacingProvider {
  const credentials = readCredentials('route53', TITLE, options)
  const pinnedZoneId = readZoneId(credentials)
  const isPrivate = credentials.find('AWS_PRIVATE_ZONE')?.reveal().toLowerCase() === 'true'
  const api = openApi(options, credentials)
  /** Changes that are not known to be everywhere, by zone. */
  const changes = new Map<string, string[]>()

  async function read(path: string, signal: AbortSignal, query: Record<string, string> = {}): Promise<XmlElement> {
    return parse(api, (await api.call('GET', path, { signal, query })).text)
  }

  async function zonesCalled(name: string, signal: AbortSignal): Promise<Zone[]> {
    const zones: Zone[] = []
    let query: Record<string, string> = { dnsname: `${name}.`, maxitems: '100' }
    for (let page = 1; page <= MOST_PAGES; page += 1) {
      const list = await read('/hostedzonesbyname', signal, query)
      for (const zone of elementsAt(list, 'HostedZones', 'HostedZone')) {
        if (readName(textAt(zone, 'Name') ?? '', 'octal') !== name) continue
        if ((textAt(zone, 'Config', 'PrivateZone') === 'true') !== isPrivate) continue
        zones.push({ name, id: zoneIdOf(textAt(zone, 'Id') ?? '') })
      }
      // Zones come in the order of their names, so others follow as soon as one does.
      const next = textAt(list, 'NextDNSName') ?? ''
      if (textAt(list, 'IsTruncated') !== 'true' || readName(next, 'octal') !== name) return zones
      query = { dnsname: next, hostedzoneid: textAt(list, 'NextHostedZoneId') ?? '', maxitems: '100' }
    }
    return zones
  }

  async function findZone(name: string, signal: AbortSignal): Promise<Zone | undefined> {
    if (pinnedZoneId !== undefined) {
      // The first record set of a zone is at its apex; to read it takes no right that is not needed anyway.
      const list = await read(`/hostedzone/${pinnedZoneId}/rrset`, signal, { maxitems: '1' })
      const [apex] = elementsAt(list, 'ResourceRecordSets', 'ResourceRecordSet')
      const zoneName = apex && readName(textAt(apex, 'Name') ?? '', 'octal')
      if (zoneName === undefined) throw api.notUnderstood('without a record set')
      return isWithin(name, zoneName) ? { name: zoneName, id: pinnedZoneId } : undefined
    }
    // No public zone is a top-level domain.
    const candidates = suffixesOf(name).slice(isPrivate ? 0 : 1)
    for (const candidate of candidates.toReversed()) {
      const [zone, ...others] = await zonesCalled(candidate, signal)
      if (zone === undefined) continue
      if (others.length === 0) return zone
      const message = `${TITLE} has several hosted zones ${candidate}: set AWS_HOSTED_ZONE_ID to the one that is meant.`
      throw new DnsProviderError('route53', 'zone', message)
    }
    return undefined
  }

  return {
    writes: 'sets',
    scope: 'name',
    valuesPerName: 'many',
    findZone,

    async read(zone, name, signal) {
      const query = { name: `${name}.`, type: 'TXT', maxitems: '1' }
      const list = await read(`/hostedzone/${zoneIdOf(zone.id ?? '')}/rrset`, signal, query)
      // The list goes on past the name.
      const found = elementsAt(list, 'ResourceRecordSets', 'ResourceRecordSet').find(
        (set) => textAt(set, 'Type') === 'TXT' && readName(textAt(set, 'Name') ?? '', 'octal') === name,
      )
      const state = found && setOf(found)
      if (state === undefined) return undefined
      return { values: state.values.map((value) => readTxt(value, 'octal')), ttlSeconds: state.ttlSeconds, state }
    },

    async write({ zone, name }, values, before, signal) {
      const old = before?.state as RecordSet | undefined
      const wanted = { name: `${name}.`, ttlSeconds: old?.ttlSeconds ?? TTL_SECONDS, values: writtenAs(values, before) }
      const steps = [
        ...(old === undefined ? [] : [{ action: 'DELETE' as const, set: old }]),
        ...(values.length === 0 ? [] : [{ action: 'CREATE' as const, set: wanted }]),
      ]
      if (steps.length === 0 || wanted.values.join('\n') === old?.values.join('\n')) return
      const id = zoneIdOf(zone.id ?? '')
      const body = { type: 'text/xml', text: requestOf(steps) }
      const answer = parse(api, (await api.call('POST', `/hostedzone/${id}/rrset/`, { signal, body })).text)
      const change = textAt(answer, 'ChangeInfo', 'Id')?.replace(/^\/change\//, '')
      if (change === undefined || !ID.test(change)) throw api.notUnderstood('without the id of the change')
      // Changes of a zone are carried out in turn, so that the latest ones speak for all.
      changes.set(id, [...(changes.get(id) ?? []), change].slice(-10))
    },

    async settle(zone, signal) {
      const id = zoneIdOf(zone.id ?? '')
      for (const change of changes.get(id) ?? []) {
        for (let polls = 1; ; polls += 1) {
          // What was changed weeks ago is not known any more.
          const answer = await api.call('GET', `/change/${change}`, { signal, isFine: ({ status }) => status === 404 })
          if (answer.status === 404 || textAt(parse(api, answer.text), 'ChangeInfo', 'Status') === 'INSYNC') break
          if (polls === MOST_POLLS) throw api.notUnderstood('that a change is pending, for minutes')
          await options.clock.sleep(POLL_MS, signal)
        }
        changes.set(id, changes.get(id)?.filter((each) => each !== change) ?? [])
      }
    },

    close: () => api.close(),
  }
}

function openApi({ apiUrl, clock }: ProviderOptions, credentials: Credentials): HttpApi {
  const region = credentials.find('AWS_REGION')?.reveal() ?? ''
  const partition = PARTITIONS.find(({ prefix }) => region.startsWith(prefix)) ?? PARTITIONS[2]
  const accessKeyId = credentials.need('AWS_ACCESS_KEY_ID')
  const secretAccessKey = credentials.need('AWS_SECRET_ACCESS_KEY')
  const sessionToken = credentials.find('AWS_SESSION_TOKEN')
  const key = { accessKeyId, secretAccessKey, sessionToken, region: partition?.region ?? '', service: 'route53' }
  return createHttpApi({
    provider: 'route53',
    title: TITLE,
    baseUrl: apiUrl ?? partition?.url ?? '',
    clock,
    secrets: [accessKeyId, secretAccessKey, sessionToken],
    authorize: (call) => signV4(call, key, clock.now()),
    readFault: readRoute53Fault,
    credentialsAdvice:
      'The policy must allow ListHostedZonesByName (not with AWS_HOSTED_ZONE_ID), ListResourceRecordSets, ChangeResourceRecordSets and GetChange.',
  })
}

const ID = /^[A-Z\d]{1,32}$/i

function readZoneId(credentials: Credentials): string | undefined {
  const id = credentials
    .find('AWS_HOSTED_ZONE_ID')
    ?.reveal()
    .replace(/^\/hostedzone\//, '')
  if (id === undefined || ID.test(id)) return id
  return credentials.fail('AWS_HOSTED_ZONE_ID must be an id like Z040120927RX9CM38HPQQ.')
}

function zoneIdOf(value: string): string {
  const id = value.replace(/^\/hostedzone\//, '')
  if (ID.test(id)) return id
  throw new DnsProviderError('route53', 'unreachable', `${TITLE} gave an answer without the id of a zone.`)
}

function parse(api: HttpApi, text: string): XmlElement {
  try {
    return readXml(text)
  } catch {
    throw api.notUnderstood('that is no XML')
  }
}

/** Values that stood there before are written exactly as they were read. */
function writtenAs(values: readonly string[], before: TxtSet | undefined): readonly string[] {
  const old = before?.state as RecordSet | undefined
  return values.map((value) => old?.values[before?.values.indexOf(value) ?? -1] ?? quoteTxt(value, 'octal'))
}
