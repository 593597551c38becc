import { DnsProviderError } from '../dns-errors.ts'
import type { HttpAnswer } from '../http-exchange.ts'
import type { HttpFault } from './http-api.ts'
import { elementsAt, escapeXml, readXml, textAt } from './xml.ts'
import type { XmlElement } from './xml.ts'

/** A TXT record set as Route 53 wants to see it again, its values quoted and escaped. */
export interface RecordSet {
  readonly name: string
  readonly ttlSeconds: number
  readonly values: readonly string[]
}

/** Reads a ResourceRecordSet. Throws `DnsProviderError` for those that are chosen by routing policies. */
export function setOf(element: XmlElement): RecordSet {
  const name = textAt(element, 'Name') ?? ''
  const ttlSeconds = Number(textAt(element, 'TTL'))
  const values = elementsAt(element, 'ResourceRecords', 'ResourceRecord').map((record) => textAt(record, 'Value') ?? '')
  if (textAt(element, 'SetIdentifier') === undefined && Number.isInteger(ttlSeconds) && values.length > 0) {
    return { name, ttlSeconds, values }
  }
  const message = `The TXT record at ${name} has a routing policy or is an alias, and is left alone: remove it, or delegate the name by a CNAME.`
  throw new DnsProviderError('route53', 'refused', message)
}

/** Writes a ChangeResourceRecordSetsRequest. */
export function requestOf(steps: readonly { readonly action: 'CREATE' | 'DELETE'; readonly set: RecordSet }[]): string {
  const changes = steps.map(({ action, set }) => `<Change><Action>${action}</Action>${writeSet(set)}</Change>`).join('')
  const batch = `<ChangeBatch><Comment>ACME challenge of SOAKP</Comment><Changes>${changes}</Changes></ChangeBatch>`
  const namespace = 'https://route53.amazonaws.com/doc/2013-04-01/'
  return `<?xml version="1.0" encoding="UTF-8"?>\n<ChangeResourceRecordSetsRequest xmlns="${namespace}">${batch}</ChangeResourceRecordSetsRequest>`
}

function writeSet({ name, ttlSeconds, values }: RecordSet): string {
  const records = values.map((value) => `<ResourceRecord><Value>${escapeXml(value)}</Value></ResourceRecord>`).join('')
  const fields = `<Name>${escapeXml(name)}</Name><Type>TXT</Type><TTL>${ttlSeconds}</TTL>`
  return `<ResourceRecordSet>${fields}<ResourceRecords>${records}</ResourceRecords></ResourceRecordSet>`
}

const LIMITS = ['Throttling', 'ThrottlingException', 'PriorRequestNotComplete', 'RequestLimitExceeded']
const CREDENTIALS = [
  'AccessDenied',
  'AccessDeniedException',
  'ExpiredToken',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'MissingAuthenticationToken',
  'OptInRequired',
  'RequestExpired',
  'SignatureDoesNotMatch',
]

/** Route 53 says so when a batch does not fit what is there. */
const CHANGED_MEANWHILE = /but it already exists|but it was not found|do not match the current values/

/** Reads an error answer of Route 53. Its codes matter more than the status: throttling comes with 400. */
export function readRoute53Fault({ text, status }: HttpAnswer): HttpFault {
  const { code, message } = readError(text)
  const said = [code, message].filter((part) => part !== '').join(': ')
  if (LIMITS.includes(code)) return { kind: 'limit', said }
  if (code === 'InvalidChangeBatch' && CHANGED_MEANWHILE.test(message)) return { kind: 'conflict', said }
  if (code === 'NoSuchHostedZone')
    return { kind: 'zone', said, advice: 'Was it deleted, or is AWS_HOSTED_ZONE_ID wrong?' }
  if (code === 'RequestExpired' || /signature (?:not yet current|expired)/i.test(message)) {
    return { kind: 'credentials', said, advice: 'Is the clock of this machine right?' }
  }
  return { kind: status < 500 && CREDENTIALS.includes(code) ? 'credentials' : undefined, said }
}

/** Either `<ErrorResponse><Error>…` or, for change batches, `<InvalidChangeBatch><Messages><Message>…`. */
function readError(text: string): { readonly code: string; readonly message: string } {
  try {
    const document = readXml(text)
    const [error = document] = elementsAt(document, 'Error')
    const messages = elementsAt(document, 'Messages', 'Message').map((each) => each.text)
    const code = textAt(error, 'Code') ?? (messages.length > 0 ? document.name : '')
    return { code, message: messages.length > 0 ? messages.join(' ') : (textAt(error, 'Message') ?? '') }
  } catch {
    return { code: '', message: '' }
  }
}
