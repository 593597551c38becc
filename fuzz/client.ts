import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { TYPES, connectHttp2, readFrames } from '../test/support/http2-frames.ts'
import { makeCase } from './cases.ts'
import type { FuzzCase } from './cases.ts'
import { rightRequest } from './requests.ts'
import { createSearch } from './search.ts'
import { take } from './steps.ts'
import { TIMES } from './target.ts'
import type { Target } from './target.ts'

/** What went wrong in a case. */
export interface Failure {
  readonly index: number
  readonly kind: 'exit' | 'hang' | 'leak' | 'wrong answer' | 'wrong upstream request'
  readonly detail: string
}

/** How long a client that ends its side waits for an answer before. */
const ANSWER_MS = 30

/** How long a slow client pauses behind each piece. */
const PAUSE_MS = 3

/** Runs a case; returns what went wrong. */
export async function runCase(
  target: Target,
  seed: number,
  index: number,
  hangMs: number = TIMES.hangMs,
): Promise<Failure | undefined> {
  const fuzzCase = makeCase(seed, index, target)
  const { bytes, isOver } = await exchange(target, fuzzCase, hangMs)
  const failure = (kind: Failure['kind'], detail: string): Failure => ({
    index,
    kind,
    detail: `${fuzzCase.kind}: ${detail}`,
  })
  if (hasSecret(target, fuzzCase, bytes)) return failure('leak', bytes.toString('latin1').slice(0, 500))
  // Whatever is sent, it is not SOAKP that is wrong.
  if (bytes.includes('SOAKP_INTERNAL')) return failure('wrong answer', bytes.toString('latin1').slice(0, 500))
  if (!isOver)
    return failure('hang', `no end within ${hangMs} ms behind ${JSON.stringify(String(bytes).slice(0, 300))}`)
  return fuzzCase.isFollowed ? callRight(target, index, hangMs) : undefined
}

/** A connection may just be ending at which the upstream did something wrong before; it is not asked twice by itself. */
const BROKEN_OFF = /^HTTP\/1\.1 502 [^]*SOAKP_UPSTREAM_(?:UNREACHABLE|MALFORMED)/
const TRIES = 5

/** Makes a right call, which must have its own answer. */
export async function callRight(target: Target, index: number, hangMs: number): Promise<Failure | undefined> {
  const steps = [rightRequest({ ...target, index }, `/v1/well/${index}`)]
  const call = { isHttp2: false, steps, reads: 'at once', leaves: 'closed' } as const
  let text = ''
  for (let tries = 0; tries < TRIES && (tries === 0 || BROKEN_OFF.test(text)); tries += 1) {
    text = (await exchange(target, call, hangMs)).bytes.toString('latin1')
    if (text.startsWith('HTTP/1.1 200 OK') && text.endsWith(`\r\n\r\n${index}`)) return undefined
  }
  return { index, kind: 'wrong answer', detail: JSON.stringify(text.slice(0, 1_000)) }
}

type Exchange = Pick<FuzzCase, 'isHttp2' | 'steps' | 'reads' | 'leaves'>

async function exchange(target: Target, { isHttp2, steps, reads, leaves }: Exchange, hangMs: number) {
  const { secure } = target
  const socket =
    isHttp2 && secure !== undefined
      ? await connectHttp2(secure.port, secure.authority)
      : connect({ port: target.port, host: '127.0.0.1', noDelay: true })
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => void chunks.push(chunk)).on('error', () => undefined)
  if (reads === 'slowly') readSlowly(socket)
  if (reads === 'late') socket.pause()
  const closed = once(socket, 'close').then(
    () => true,
    () => true,
  )
  void take(socket, steps).then(() => leave(socket, leaves))
  const timer = new AbortController()
  const late = setTimeout(hangMs, false, { signal: timer.signal }).catch(() => false)
  const isOver = await Promise.race([closed, late])
  timer.abort()
  socket.destroy()
  return { bytes: Buffer.concat(chunks), isOver }
}

async function leave(socket: Socket, how: FuzzCase['leaves']): Promise<void> {
  if (how === 'answered') socket.once('data', () => socket.end())
  if (how === 'soon' || how === 'broken') {
    const timer = new AbortController()
    const waited = setTimeout(ANSWER_MS, undefined, { signal: timer.signal })
    await Promise.race([waited, once(socket, 'data'), once(socket, 'close')]).catch(() => undefined)
    timer.abort()
  }
  if (how === 'broken') socket.destroy()
  else socket.resume()
  if (how === 'soon') socket.end()
}

function readSlowly(socket: Socket): void {
  socket.on('data', () => {
    socket.pause()
    void setTimeout(PAUSE_MS).then(() => socket.resume())
  })
}

/** Looks at what came as it is, and without the marks between chunks or frames. */
function hasSecret({ secrets }: Target, { isHttp2 }: FuzzCase, bytes: Buffer): boolean {
  const joined = isHttp2
    ? Buffer.concat(readFrames(bytes).flatMap(({ type, payload }) => (type === TYPES.data ? [payload] : [])))
    : Buffer.from(bytes.toString('latin1').replaceAll(/\r\n[\da-f]+\r\n/gi, ''), 'latin1')
  return [bytes, joined].some((text) => {
    const search = createSearch(secrets)
    search.push(text)
    return search.hasFound()
  })
}
