import { connect } from 'node:net'
import { encodeUint16s } from './integers.ts'
import { DnsMessageError } from './message-error.ts'
import type { ServerAddress } from './server-address.ts'

/**
 * Sends one message over TCP (RFC 1035 section 4.2.2) and gives the message that comes back, of at most 65,535 bytes.
 * Rejects with the signal's reason as soon as that aborts, with the system's error when the server cannot be reached, and
 * with `DnsMessageError` when it hangs up before its message is complete.
 */
export function exchangeOverTcp(server: ServerAddress, message: Buffer, signal: AbortSignal): Promise<Buffer> {
  return new Promise<Buffer>((resolve, reject) => {
    signal.throwIfAborted()
    const socket = connect({ host: server.host, port: server.port, noDelay: true, autoSelectFamily: true })
    const chunks: Buffer[] = []
    let received = 0
    let length: number | undefined

    const end = (settle: () => void) => {
      signal.removeEventListener('abort', abort)
      socket.destroy()
      settle()
    }
    const abort = () => end(() => reject(signal.reason as Error))
    signal.addEventListener('abort', abort, { once: true })

    socket.once('connect', () => socket.write(Buffer.concat([encodeUint16s(message.length), message])))
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      received += chunk.length
      if (received < 2) return
      length ??= Buffer.concat(chunks).readUInt16BE(0)
      const next = length + 2
      if (received >= next) end(() => resolve(Buffer.concat(chunks).subarray(2, next)))
    })
    socket.on('error', (error) => end(() => reject(error)))
    socket.on('close', () => end(() => reject(new DnsMessageError('The name server hung up without an answer.'))))
  })
}
