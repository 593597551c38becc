import { readName } from '../../../services/dns-core/txt-values.ts'
import { elementsAt, escapeXml, readXml, textAt } from '../../../services/dns-core/xml.ts'
import type { XmlElement } from '../../../services/dns-core/xml.ts'
import type { FakeAnswer } from './server.ts'

/** A record set as Route 53 holds it: names plain and with the last dot, values as they are shown. */
export interface Route53Set {
  readonly name: string
  readonly type: string
  readonly ttl: number
  readonly values: readonly string[]
  /** Of a routing policy. */
  readonly setIdentifier?: string
}

/** A hosted zone; its name has the last dot. */
export interface Route53Zone {
  readonly id: string
  readonly name: string
  readonly isPrivate: boolean
  readonly sets: Route53Set[]
}

/** One change of a batch. */
export interface Route53Change {
  readonly action: string
  readonly set: Route53Set
}

const NAMESPACE = 'https://route53.amazonaws.com/doc/2013-04-01/'

/** Answers a document. */
export function wrap(root: string, content: string, status = 200): FakeAnswer {
  const body = `<?xml version="1.0"?>\n<${root} xmlns="${NAMESPACE}">${content}</${root}>`
  return { status, headers: { 'content-type': 'text/xml' }, body }
}

/** Answers an error. */
export function showError(status: number, code: string, message: string): FakeAnswer {
  const error = `<Error><Type>Sender</Type><Code>${code}</Code><Message>${escapeXml(message)}</Message></Error>`
  return wrap('ErrorResponse', `${error}<RequestId>e0fb23d8-3885-4986-81dc-01d5877c632a</RequestId>`, status)
}

/** Shows a zone in a list. */
export function showZone({ id, name, isPrivate, sets }: Route53Zone): string {
  const config = `<Config><Comment>Test</Comment><PrivateZone>${isPrivate}</PrivateZone></Config>`
  const count = `<ResourceRecordSetCount>${sets.length}</ResourceRecordSetCount>`
  const reference = '<CallerReference>01f9750a-3dfe-4a6a-95fd-519b1359643f</CallerReference>'
  return `<HostedZone><Id>/hostedzone/${id}</Id><Name>${escapeName(name)}</Name>${reference}${config}${count}</HostedZone>`
}

/** Answers a list of record sets; `next` is the first that it has no room for. */
export function showSets(sets: readonly Route53Set[], next: Route53Set | undefined, size: number): FakeAnswer {
  const more =
    next === undefined
      ? ''
      : `<NextRecordName>${escapeName(next.name)}</NextRecordName><NextRecordType>${next.type}</NextRecordType>`
  const list = `<ResourceRecordSets>${sets.map(showSet).join('')}</ResourceRecordSets>`
  const end = `<IsTruncated>${next !== undefined}</IsTruncated>${more}<MaxItems>${size}</MaxItems>`
  return wrap('ListResourceRecordSetsResponse', list + end)
}

function showSet({ name, type, ttl, values, setIdentifier }: Route53Set): string {
  const records = values
    .map((value) => `<ResourceRecord><Value>${escapeXml(value).replaceAll('"', '&quot;')}</Value></ResourceRecord>`)
    .join('')
  const policy = setIdentifier === undefined ? '' : `<SetIdentifier>${setIdentifier}</SetIdentifier><Weight>1</Weight>`
  const fields = `<Name>${escapeName(name)}</Name><Type>${type}</Type>${policy}<TTL>${ttl}</TTL>`
  return `<ResourceRecordSet>${fields}<ResourceRecords>${records}</ResourceRecords></ResourceRecordSet>`
}

/** Everything but letters, digits, hyphens and underscores is shown in octal. */
function escapeName(name: string): string {
  return name.replaceAll(/[^\w.-]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`)
}

/** Reads a change batch, undefined where it is none. */
export function readChanges(
  body: string,
): { readonly changes: readonly Route53Change[]; readonly comment: string | undefined } | undefined {
  try {
    const request = readXml(body)
    if (request.name !== 'ChangeResourceRecordSetsRequest') return undefined
    const changes = elementsAt(request, 'ChangeBatch', 'Changes', 'Change').map(readChange)
    return { changes, comment: textAt(request, 'ChangeBatch', 'Comment') }
  } catch {
    return undefined
  }
}

function readChange(change: XmlElement): Route53Change {
  const at = (name: string) => textAt(change, 'ResourceRecordSet', name) ?? ''
  const records = elementsAt(change, 'ResourceRecordSet', 'ResourceRecords', 'ResourceRecord')
  const values = records.map((record) => textAt(record, 'Value') ?? '')
  const set = { name: `${readName(at('Name'), 'octal')}.`, type: at('Type'), ttl: Number(at('TTL')), values }
  return { action: textAt(change, 'Action') ?? '', set }
}

/** Makes all changes, or none and returns why. */
export function applyChanges(zone: Route53Zone, changes: readonly Route53Change[]): readonly string[] {
  let sets: readonly Route53Set[] = zone.sets
  const problems: string[] = []
  for (const { action, set } of changes) {
    const isSame = (each: Route53Set) => each.name === set.name && each.type === set.type
    const old = sets.find(isSame)
    const it = `resource record set [name='${escapeName(set.name)}', type='${set.type}']`
    problems.push(...problemsOf(zone, set))
    if (action === 'CREATE' && old !== undefined) problems.push(`Tried to create ${it} but it already exists`)
    if (action === 'DELETE' && old === undefined) problems.push(`Tried to delete ${it} but it was not found`)
    if (action === 'DELETE' && old !== undefined && !isEqual(old, set)) {
      problems.push(`Tried to delete ${it} but the values provided do not match the current values`)
    }
    sets = [...sets.filter((each) => !isSame(each)), ...(action === 'DELETE' ? [] : [set])]
  }
  if (problems.length === 0) zone.sets.splice(0, zone.sets.length, ...sets)
  return problems
}

function isEqual(left: Route53Set, right: Route53Set): boolean {
  return left.ttl === right.ttl && left.values.toSorted().join('\n') === right.values.toSorted().join('\n')
}

const STRING = /"((?:[^"\\]|\\[^])*)"/g

function problemsOf(zone: Route53Zone, { name, type, ttl, values }: Route53Set): readonly string[] {
  const problems: string[] = []
  if (name !== zone.name && !name.endsWith(`.${zone.name}`)) {
    problems.push(`RRSet with DNS name ${name} is not permitted in zone ${zone.name}`)
  }
  if (!Number.isInteger(ttl) || ttl < 0) problems.push('Invalid TTL')
  for (const [index, value] of values.entries()) {
    if (values.indexOf(value) !== index) problems.push(`Duplicate Resource Record: '${value}'`)
    if (type !== 'TXT') continue
    if (!/^(?:\s*"(?:[^"\\]|\\[^])*")+\s*$/.test(value)) {
      problems.push(
        `Invalid Resource Record: 'FATAL problem: InvalidCharacterString (Value should be enclosed in quotation marks) encountered with '${value}''`,
      )
    }
    const strings = [...value.matchAll(STRING)].map(([, text]) => (text ?? '').replaceAll(/\\(?:[0-7]{3}|[^])/g, '_'))
    if (strings.some((text) => text.length > 255)) problems.push(`CharacterStringTooLong encountered with '${value}'`)
    if (/[^ -~]/.test(value)) problems.push(`UnsupportedCharacter encountered with '${value}'`)
  }
  return problems
}
