import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Test } from 'tap'
import { readMessage } from '../../services/dns-wire/message.ts'
import { encodeTsigRecord, readTsigRecord } from '../../services/dns-wire/tsig-record.ts'

/** What a name server of a test does with a message; what it returns is sent as it is. */
export type Answer = (request: Buffer, socket: Socket) => Buffer | undefined

/** Puts the length before a message, as TCP has it. */
export function frame(message: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

/** Makes a response that is nothing but its header. */
export function plain(request: Buffer, rcode: number): Buffer {
  const response = Buffer.alloc(12)
  response.writeUInt16BE(request.readUInt16BE(0), 0)
  response.writeUInt16BE(0x8000 | (request.readUInt16BE(2) & 0x7800) | rcode, 2)
  return response
}

/** Makes a response whose TSIG says an error without a MAC, as servers send it that do not share the key. */
export function withError(request: Buffer, rcode: number, error: number): Buffer {
  const tsig = readTsigRecord(readMessage(request))
  if (tsig === undefined) throw new Error('The request is not signed')
  const response = Buffer.concat([plain(request, rcode), encodeTsigRecord({ ...tsig, mac: Buffer.alloc(0), error })])
  response.writeUInt16BE(1, 10)
  return response
}

/** Starts a TCP server that gets messages as a name server does, and answers what it is told, be it nonsense. */
export async function startFakeNameServer(
  t: Test,
  answer: Answer,
  address = '127.0.0.1',
): Promise<{ readonly host: string; messages(): number }> {
  let messages = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const chunks: Buffer[] = []
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      if (bytes.length < 2 || bytes.length < bytes.readUInt16BE(0) + 2) return
      messages += 1
      const sent = answer(bytes.subarray(2), socket)
      if (sent !== undefined) socket.write(sent)
    })
  })
  server.listen(0, address)
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { host: `${address.includes(':') ? `[${address}]` : address}:${port}`, messages: () => messages }
}
