import { allowed, fault, shown } from './differences.ts'
import type { Difference, DifferenceKind } from './differences.ts'
import { headerOf } from './messages.ts'
import type { Header } from './messages.ts'

/** Headers that may stay behind, by the difference that allows it. Names are in lower case. */
const REQUEST = table({
  credentials: 'authorization cookie cookie2 proxy-authorization api-key x-api-key',
  connection: 'host connection keep-alive proxy-connection te trailer upgrade http2-settings',
  framing: 'content-length transfer-encoding',
  interim: 'expect',
  front: 'forwarded via origin referer x-real-ip x-http-method-override x-forwarded-* sec-*',
})

const ANSWER = table({
  connection: 'connection keep-alive proxy-connection te trailer upgrade proxy-authenticate',
  framing: 'content-length transfer-encoding',
  account:
    'set-cookie x-powered-by alt-svc strict-transport-security openai-organization openai-project access-control-*',
  server: 'date server via',
})

/** Headers that a proxy writes itself, so that what it writes need not be what it got. */
const WRITTEN_ANEW = new Set([
  'authorization',
  'host',
  'connection',
  'keep-alive',
  'upgrade',
  'content-length',
  'transfer-encoding',
  'date',
  'server',
  'via',
])

/** What is compared, and how. */
export interface HeaderComparison {
  readonly of: 'request' | 'answer'
  readonly isHttp2: boolean
}

/** Compares the headers that came directly with those that came through the proxy. */
export function compareHeaders(
  direct: readonly Header[],
  passed: readonly Header[],
  { of, isHttp2 }: HeaderComparison,
): Difference[] {
  const kindsByName = of === 'request' ? REQUEST : ANSWER
  const listed = new Set(
    direct.flatMap(([name, value]) => (name.toLowerCase() === 'connection' ? value.toLowerCase().split(/, */) : [])),
  )
  listed.delete('content-length')
  const differences: Difference[] = []

  function kindOf(name: string): DifferenceKind | undefined {
    if (listed.has(name)) return 'connection'
    return kindsByName.find(([each]) => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each))?.[1]
  }

  const optional = ([name]: Header) => kindOf(name.toLowerCase()) !== undefined
  const names = new Set([...direct, ...passed].filter(optional).map(([name]) => name.toLowerCase()))
  for (const name of names) {
    const [before, after] = [direct, passed].map((each) => each.filter(([other]) => other.toLowerCase() === name))
    const kind = kindOf(name)
    if (kind === undefined || values(before) === values(after)) continue
    // A Date that was sent says when the upstream answered.
    const mayDiffer = name === 'date' ? before?.length === 0 : after?.length === 0 || WRITTEN_ANEW.has(name)
    const what = `${name}: ${shown(values(before))} became ${shown(values(after))}`
    differences.push(mayDiffer ? allowed(kind, what) : fault(what))
  }
  differences.push(...compareLengths(direct, passed))

  const [before, after] = [direct, passed].map((each) => each.filter((header) => !optional(header)))
  const spelled = [before, after].map((each) => lines(each ?? []))
  if (spelled[0] === spelled[1]) return differences
  const grouped = [before, after].map((each) => lines(groupedByName(each ?? [])))
  if (isHttp2 && grouped[0] === grouped[1]) return [...differences, allowed('http2', 'names are in lower case')]
  return [...differences, fault(`the ${of}'s headers ${firstDifference(before ?? [], after ?? [])}`)]
}

/** Two lengths that are both stated are the same one. */
function compareLengths(direct: readonly Header[], passed: readonly Header[]): Difference[] {
  const [before, after] = [direct, passed].map((headers) => headerOf({ headers }, 'content-length'))
  if (before === undefined || after === undefined || before === after) return []
  return [fault(`content-length: ${before} became ${after}`)]
}

function values(headers: readonly Header[] | undefined): string {
  return (headers ?? []).map(([, value]) => value).join('\n')
}

function lines(headers: readonly Header[]): string {
  return headers.map(([name, value]) => `${name}: ${value}`).join('\n')
}

function groupedByName(headers: readonly Header[]): Header[] {
  const byName = Map.groupBy(headers, ([name]) => name.toLowerCase())
  return [...byName].map(([name, each]) => [name, each.map(([, value]) => value).join(', ')])
}

function firstDifference(before: readonly Header[], after: readonly Header[]): string {
  const [were, are] = [before, after].map((each) => each.map((header) => lines([header])))
  const at = were?.findIndex((line, index) => line !== are?.[index]) ?? -1
  const index = at === -1 ? before.length : at
  return `differ: ${shown(were?.[index])} became ${shown(are?.[index])}`
}

function table(kinds: Partial<Record<DifferenceKind, string>>): readonly (readonly [string, DifferenceKind])[] {
  return Object.entries(kinds).flatMap(([kind, names]) =>
    names.split(' ').map((name) => [name, kind as DifferenceKind] as const),
  )
}
