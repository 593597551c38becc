import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { decode, encode } from 'dns-packet'

const execute = promisify(execFile)

/** A TSIG key as a test makes it. */
export interface TestKey {
  readonly name: string
  /** `hmac-sha256`, `hmac-sha512` … */
  readonly algorithm: string
  /** Base64. */
  readonly secret: string
}

/** A real name server of a test. It ends with the test. */
export interface NameServer {
  readonly address: string
  readonly port: number
  /** `address:port`. */
  readonly host: string
  /** The first of its keys. */
  readonly key: TestKey
  /** All records of a zone but the SOA, one a line, sorted: what a test compares to say "unchanged". */
  records(zone: string): Promise<readonly string[]>
  /** The TXT values it answers at a name, sorted. */
  values(name: string): Promise<readonly string[]>
  /** The serial of a zone. */
  serial(zone: string): Promise<number>
  /** Resolves when it serves the zone as `other` has it now: the end of a notify's way. Rejects after 20 seconds. */
  caughtUp(zone: string, other: NameServer): Promise<void>
  /** Changes a zone as somebody else: nsupdate's lines, such as `update add a.soakp.test. 1 TXT "foreign"`. */
  update(zone: string, ...lines: readonly string[]): Promise<void>
  /** Stops answering (SIGSTOP): connections are still taken by the system, packets vanish. */
  pause(): void
  /** Answers again. */
  resume(): void
  /** Ends it: connections are refused from then on. */
  stop(): Promise<void>
}

/** Makes a key with a random secret. */
export function createKey(algorithm = 'hmac-sha256', name = 'soakp-key'): TestKey {
  return { name, algorithm, secret: randomBytes(32).toString('base64') }
}

/** A key in the format of `tsig-keygen`. */
export function keyFile({ name, algorithm, secret }: TestKey): string {
  return `key "${name}" {\n\talgorithm ${algorithm};\n\tsecret "${secret}";\n};\n`
}

let addresses = 0

/** An address of 127/8 that no other test file uses at the same time: another at each call, up to 254 a process. */
export function ownAddress(): string {
  addresses += 1
  return `127.${64 + ((process.pid >> 8) & 127)}.${process.pid & 255}.${addresses}`
}

/** The reason why no server can listen on port 53 here, else false. */
export function needsPort53(): string | false {
  if (process.getuid?.() === 0) return false
  const first = Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8'))
  return first <= 53 ? false : 'needs root for port 53'
}

/**
 * Records of name servers with their addresses, for the zone itself and for its parent:
 * `nameServers('soakp.test', { ns1: '127.0.0.2' })` is `soakp.test. NS ns1.soakp.test.` and `ns1.soakp.test. A 127.0.0.2`.
 */
export function nameServers(zone: string, servers: Readonly<Record<string, string | readonly string[]>>): string {
  return Object.entries(servers)
    .flatMap(([label, hosts]) => [
      `${zone}. NS ${label}.${zone}.`,
      ...[hosts].flat().map((host) => `${label}.${zone}. ${host.includes(':') ? 'AAAA' : 'A'} ${host}`),
    ])
    .map((line) => `${line}\n`)
    .join('')
}

/** A zone file: TTL 1, the zone as origin, a SOA unless the records have one. */
export function zoneFile(zone: string, records: string): string {
  const origin = zone === '' || zone === '.' ? '.' : `${zone}.`
  const soa = /\sSOA\s/.test(records) ? '' : '@ SOA ns1 hostmaster 1 86400 86400 864000 1\n'
  return `$ORIGIN ${origin}\n$TTL 1\n${soa}${records}\n`
}

/** Asks a server until it answers with authority for the zone; rejects after 20 seconds. */
export async function answersFor(address: string, port: number, zone: string): Promise<void> {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
  const id = randomInt(65_536)
  const query = encode({ type: 'query', id, questions: [{ type: 'SOA', name: zone === '' ? '.' : zone }] })
  try {
    for (const end = Date.now() + 20_000; Date.now() < end;) {
      socket.send(query, port, address)
      const received = await once(socket, 'message', { signal: AbortSignal.timeout(50) }).catch(() => [])
      const [message] = received as readonly Buffer[]
      const answer = message === undefined ? undefined : decode(message)
      if (answer?.id === id && answer.flag_aa && (answer.answers?.length ?? 0) > 0) return
    }
  } finally {
    socket.close()
  }
  throw new Error(`${address}:${port} did not answer for ${zone} within 20 seconds`)
}

/** What every server of a test can do, by dig and nsupdate. */
export function asking(
  address: string,
  port: number,
  key: TestKey,
): Pick<NameServer, 'address' | 'port' | 'host' | 'key' | 'records' | 'values' | 'serial' | 'caughtUp' | 'update'> {
  async function dig(...args: readonly string[]): Promise<readonly string[]> {
    const own = ['+tcp', '+time=5', '+tries=1', '+norecurse', `@${address}`, '-p', String(port)]
    const { stdout } = await execute('dig', [...own, ...args])
    return stdout.split('\n').filter((line) => line !== '' && !line.startsWith(';'))
  }

  async function serial(zone: string): Promise<number> {
    const [soa = ''] = await dig('+short', 'SOA', zone)
    return Number(soa.split(' ')[2])
  }

  return {
    address,
    port,
    host: `${address.includes(':') ? `[${address}]` : address}:${port}`,
    key,

    async records(zone) {
      const lines = await dig('+noall', '+answer', 'axfr', zone)
      const records = lines.map((line) => line.replaceAll(/\s+/g, ' '))
      if (records.length === 0) throw new Error(`${address} gave no transfer of ${zone}`)
      return records.filter((line) => !/^\S+ \d+ IN SOA /.test(line)).toSorted()
    },

    async values(name) {
      const lines = await dig('+short', 'TXT', name)
      return lines.map((line) => line.replaceAll('" "', '').replaceAll(/^"|"$/g, '')).toSorted()
    },

    serial,

    async caughtUp(zone, other) {
      const wanted = await other.serial(zone)
      for (const end = Date.now() + 20_000; (await serial(zone)) !== wanted;) {
        if (Date.now() > end) throw new Error(`${address} did not reach serial ${wanted} of ${zone} within 20 seconds`)
      }
    },

    async update(zone, ...lines) {
      const child = execute('nsupdate', ['-v', '-y', `${key.algorithm}:${key.name}:${key.secret}`])
      child.child.stdin?.end([`server ${address} ${port}`, `zone ${zone}.`, ...lines, 'send', ''].join('\n'))
      await child
    },
  }
}
