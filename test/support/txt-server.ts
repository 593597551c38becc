import { once } from 'node:events'
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { decode, encode, streamDecode, streamEncode } from 'dns-packet'
import type { Packet } from 'dns-packet'
import type { Test } from 'tap'

/** A name server that has nothing but the TXT values of a map. It ends with the test. */
export interface TxtServer {
  /** `host:port` */
  readonly host: string
  readonly records: Map<string, readonly string[]>
}

/** Starts a name server on 127.0.0.1, over TCP and UDP. What is not in the map does not exist. */
export async function startTxtServer(t: Test): Promise<TxtServer> {
  const records = new Map<string, readonly string[]>()
  const sockets = new Set<Socket>()
  const tcp = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    let received = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 2 && received.length >= received.readUInt16BE() + 2) {
        const length = received.readUInt16BE() + 2
        socket.write(streamEncode(answer(streamDecode(received.subarray(0, length)), records)))
        received = received.subarray(length)
      }
    })
  })
  tcp.listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  const { port } = tcp.address() as AddressInfo
  const udp = createSocket('udp4')
  udp.on('message', (message, { port: from, address }) =>
    udp.send(encode(answer(decode(message), records)), from, address),
  )
  udp.bind(port, '127.0.0.1')
  await once(udp, 'listening')
  t.teardown(async () => {
    udp.close()
    for (const socket of sockets) socket.destroy()
    tcp.close()
    await once(tcp, 'close')
  })
  return { host: `127.0.0.1:${port}`, records }
}

function answer({ id, questions = [] }: Packet, records: ReadonlyMap<string, readonly string[]>): Packet {
  const [question] = questions
  const name = question?.name.toLowerCase() ?? ''
  const values = records.get(name)
  const isAnswered = question?.type === 'TXT' && values !== undefined
  return {
    id: id ?? 0,
    type: 'response',
    // Authoritative; "no such name" where the map has nothing.
    flags: 0x0400 | (values === undefined ? 3 : 0),
    questions,
    answers: isAnswered ? values.map((data) => ({ type: 'TXT' as const, name, ttl: 1, data })) : [],
  }
}
