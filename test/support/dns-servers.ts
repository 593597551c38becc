import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { AUTHORITATIVE_ANSWER, decode, encode, RECURSION_AVAILABLE, TRUNCATED_RESPONSE } from 'dns-packet'
import type { Answer, Packet, Question } from 'dns-packet'
import type { Test } from 'tap'
import { ownAddress } from './name-server.ts'

/** What a server does with a question instead of answering it well. */
export type Behaviour = 'answers' | 'silent' | 'refuses' | 'fails' | 'lame' | 'truncates' | 'garbles' | 'forges' | 'old'

/** A name server of a test, in this process. */
export interface SmallServer {
  readonly address: string
  /** Zone name to its records but the SOA: `www A 192.0.2.1`, names relative to the zone or with a dot at the end, `@` for its own. */
  zones: Record<string, readonly string[]>
  behaviour: Behaviour
  /** What it was asked, in order: `www.example.test A`, with ` tcp` behind. */
  readonly queries: string[]
}

/** Name servers that share a port on addresses of their own, as glue has it: records name addresses, not ports. */
export interface SmallServers {
  readonly port: number
  /** Starts one more. */
  start(
    zones: SmallServer['zones'],
    options?: { readonly address?: string; readonly isRecursive?: boolean },
  ): Promise<SmallServer>
}

/** Starts nothing yet, but chooses a port; servers end with the test. */
export async function smallServers(t: Test): Promise<SmallServers> {
  const first = createSocket('udp4')
  first.bind(0, ownAddress())
  await once(first, 'listening')
  const { port } = first.address()
  t.teardown(async () => void first.close())

  return {
    port,
    async start(zones, { address = ownAddress(), isRecursive = false } = {}) {
      const server: SmallServer = { address, zones, behaviour: 'answers', queries: [] }
      await listen(t, server, port, isRecursive)
      return server
    },
  }
}

async function listen(t: Test, server: SmallServer, port: number, isRecursive: boolean): Promise<void> {
  const socket = createSocket(server.address.includes(':') ? 'udp6' : 'udp4')
  socket.on('message', (message, { port: from, address }) => {
    for (const answer of answersTo(server, message, isRecursive, 'udp')) socket.send(answer, from, address)
  })
  socket.bind(port, server.address)
  await once(socket, 'listening')
  const streams = createServer((stream) => {
    stream.on('error', () => undefined)
    stream.on('data', (bytes) => {
      for (const answer of answersTo(server, bytes.subarray(2), isRecursive, 'tcp')) {
        const length = Buffer.alloc(2)
        length.writeUInt16BE(answer.length)
        stream.write(Buffer.concat([length, answer]))
      }
    })
  })
  streams.listen(port, server.address)
  await once(streams, 'listening')
  t.equal((streams.address() as AddressInfo).port, port)
  t.teardown(async () => {
    socket.close()
    streams.close()
  })
}

function answersTo(server: SmallServer, message: Buffer, isRecursive: boolean, wire: 'udp' | 'tcp'): Buffer[] {
  const query = decode(message)
  const [question] = query.questions ?? []
  if (question === undefined) return []
  const name = question.name.toLowerCase()
  server.queries.push(`${name} ${question.type}${wire === 'tcp' ? ' tcp' : ''}`)
  const good = (packet: Packet) => encode({ type: 'response', id: query.id ?? 0, questions: [question], ...packet })
  const real = good(
    isRecursive ? fromTable(server.zones, { ...question, name }) : fromZones(server.zones, { ...question, name }),
  )
  switch (server.behaviour) {
    case 'silent':
      return []
    case 'refuses':
      return [good({ flags: 5 })]
    case 'fails':
      return [good({ flags: 2 })]
    case 'lame':
      return [good({ flags: RECURSION_AVAILABLE, ...withoutFlags(decode(real)) })]
    case 'truncates':
      return wire === 'udp' ? [good({ flags: AUTHORITATIVE_ANSWER | TRUNCATED_RESPONSE })] : [real]
    case 'garbles':
      return [Buffer.concat([real.subarray(0, 12), Buffer.alloc(5, 0xff)])]
    case 'forges': {
      const forged = good({ id: (query.id ?? 0) ^ 1, flags: 3 })
      const other = good({ questions: [{ ...question, name: `x.${name}` }], flags: 3 })
      return [forged, other, Buffer.from('nonsense'), real]
    }
    case 'old':
      return (query.additionals ?? []).length > 0 ? [good({ flags: 1, questions: [] })] : [real]
    default:
      return [real]
  }
}

function withoutFlags({ answers, authorities, additionals }: Packet): Packet {
  return { answers, authorities, additionals }
}

/** A stand-in for a recursive resolver: it knows what its table says. */
function fromTable(zones: SmallServer['zones'], { name, type }: Question): Packet {
  const records = Object.entries(zones).flatMap(([zone, lines]) => lines.map((line) => recordOf(zone, line)))
  const answers = records.filter((record) => record.name === name && record.type === type)
  const isKnown = records.some((record) => record.name === name || record.name.endsWith(`.${name}`))
  return { flags: RECURSION_AVAILABLE | (isKnown ? 0 : 3), answers }
}

function fromZones(zones: SmallServer['zones'], { name, type }: Question): Packet {
  const [zone] = Object.keys(zones)
    .filter(isAbove(name))
    .toSorted((one, other) => other.length - one.length)
  if (zone === undefined) return { flags: 5 }
  const records = (zones[zone] ?? []).map((line) => recordOf(zone, line))
  const cut = records.find((record) => record.type === 'NS' && record.name !== zone && isAbove(name)(record.name))
  if (cut !== undefined) {
    const authorities = records.filter((record) => record.type === 'NS' && record.name === cut.name)
    const hosts = authorities.map((record) => ('data' in record ? record.data : ''))
    const additionals = records.filter((record) => isAddress(record) && hosts.includes(record.name))
    return { flags: 0, authorities, additionals }
  }
  const soa: Answer = {
    type: 'SOA',
    name: zone,
    ttl: 1,
    data: { mname: `ns.${zone}`, rname: `admin.${zone}`, serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 1 },
  }
  if (type === 'SOA' && name === zone) return { flags: AUTHORITATIVE_ANSWER, answers: [soa] }
  const isThere = (each: string) =>
    each === zone || records.some((record) => record.name === each || record.name.endsWith(`.${each}`))
  const exists = isThere(name)
  // A wildcard holds below the closest name that exists (RFC 4592 section 3.3.1).
  let encloser = name
  while (!isThere(encloser)) encloser = encloser.slice(encloser.indexOf('.') + 1)
  const here = records.filter((record) => record.name === (exists ? name : `*.${encloser}`))
  const answers = here.filter((record) => record.type === type || record.type === 'CNAME')
  if (answers.length > 0)
    return { flags: AUTHORITATIVE_ANSWER, answers: answers.map((record) => ({ ...record, name })) }
  return { flags: AUTHORITATIVE_ANSWER | (exists || here.length > 0 ? 0 : 3), authorities: [soa] }
}

const isAbove = (name: string) => (zone: string) => name === zone || name.endsWith(`.${zone}`)
const isAddress = ({ type }: Answer) => type === 'A' || type === 'AAAA'

/** Reads `name TYPE data`; names in data are absolute. */
function recordOf(zone: string, line: string): Answer {
  const [label = '', type = '', ...rest] = line.split(' ')
  const name = label === '@' ? zone : label.endsWith('.') ? label.slice(0, -1) : `${label}.${zone}`.replace(/\.$/, '')
  const data = rest.join(' ')
  if (type === 'TXT') return { name, type, ttl: 1, data: data.match(/.{1,255}/g) ?? [''] }
  if (type === 'CAA') return { name, type, ttl: 1, data: { flags: 0, tag: rest[0] as 'issue', value: rest[1] ?? '' } }
  return { name, type: type as 'A', ttl: 1, data }
}
