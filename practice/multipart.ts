import { PracticeError } from './errors.ts'
import type { Exchange } from './exchange.ts'
import { readChunks } from './exchange.ts'

/** One part of a multipart form. */
export interface FormPart {
  readonly name: string
  readonly filename: string | undefined
  /** The content; empty when it is longer than 8 MiB. */
  readonly data: Buffer
  readonly bytes: number
}

const partLimitBytes = 8 * 1024 * 1024
const headerLimitBytes = 16 * 1024

/** Reads a multipart form (RFC 7578) piece by piece, so that its size does not matter. Throws OpenAI's 400. */
export async function readForm({ request }: Exchange): Promise<readonly FormPart[]> {
  const boundary = /^multipart\/form-data\s*;.*\bboundary=(?:"([^"]+)"|([^\s;]+))/i.exec(
    request.headers['content-type'] ?? '',
  )
  if (boundary === null) throw badForm('the content type is not multipart/form-data with a boundary')
  const reader = new FormReader(boundary[1] ?? boundary[2] ?? '')
  for await (const chunk of readChunks(request)) reader.write(chunk)
  return reader.end()
}

/** Returns the content of a text part, or undefined when there is none. */
export function textPart(parts: readonly FormPart[], name: string): string | undefined {
  return parts.find((part) => part.name === name)?.data.toString()
}

class FormReader {
  readonly #delimiter: Buffer
  readonly #parts: FormPart[] = []
  // The first delimiter has no line end before it, so one is put there (RFC 2046, 5.1.1).
  #pending: Buffer = Buffer.from('\r\n')
  #state: 'preamble' | 'boundary' | 'headers' | 'content' | 'end' = 'preamble'
  #open: OpenPart | undefined

  constructor(boundary: string) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`)
  }

  write(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk])
    while (this.#advance());
  }

  end(): readonly FormPart[] {
    if (this.#state !== 'end') throw badForm('it ends before its last boundary')
    return this.#parts
  }

  /** Goes one step on; returns false when more bytes are needed. */
  #advance(): boolean {
    if (this.#state === 'boundary') return this.#readBoundary()
    if (this.#state === 'headers') return this.#readHeaders()
    if (this.#state === 'end') return false
    return this.#readContent()
  }

  #readContent(): boolean {
    const at = this.#pending.indexOf(this.#delimiter)
    if (at === -1) {
      // The last bytes may be the beginning of a delimiter.
      this.#open?.add(this.#take(Math.max(0, this.#pending.length - this.#delimiter.length + 1)))
      return false
    }
    this.#open?.add(this.#take(at))
    this.#take(this.#delimiter.length)
    if (this.#open !== undefined) this.#parts.push(this.#open.close())
    this.#state = 'boundary'
    return true
  }

  #readBoundary(): boolean {
    if (this.#pending.length < 2) return false
    if (this.#pending.subarray(0, 2).toString() === '--') {
      this.#state = 'end'
      return false
    }
    const at = this.#pending.indexOf('\r\n')
    if (at === -1) return this.#waitForHeader()
    this.#take(at + 2)
    this.#state = 'headers'
    return true
  }

  #readHeaders(): boolean {
    const at = this.#pending.indexOf('\r\n\r\n')
    if (at === -1) return this.#waitForHeader()
    this.#open = new OpenPart(this.#take(at + 4).toString())
    this.#state = 'content'
    return true
  }

  #waitForHeader(): false {
    if (this.#pending.length > headerLimitBytes) throw badForm('the headers of a part are too long')
    return false
  }

  #take(length: number): Buffer {
    const taken = this.#pending.subarray(0, length)
    this.#pending = this.#pending.subarray(length)
    return taken
  }
}

class OpenPart {
  readonly #name: string
  readonly #filename: string | undefined
  #chunks: Buffer[] = []
  #bytes = 0

  constructor(headers: string) {
    const name = parameter(headers, 'name')
    if (name === undefined) throw badForm('a part has no name')
    this.#name = name
    this.#filename = parameter(headers, 'filename')
  }

  add(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > partLimitBytes) this.#chunks = []
    else this.#chunks.push(chunk)
  }

  close(): FormPart {
    return { name: this.#name, filename: this.#filename, data: Buffer.concat(this.#chunks), bytes: this.#bytes }
  }
}

/** Reads a parameter of Content-Disposition, with the escapes that browsers use (HTML, multipart/form-data). */
function parameter(headers: string, name: string): string | undefined {
  const disposition = /^content-disposition:(.*)$/im.exec(headers)?.[1] ?? ''
  const value = new RegExp(`;\\s*${name}="([^"]*)"`, 'i').exec(disposition)?.[1]
  return value?.replaceAll('%22', '"').replaceAll('%0D%0A', '\r\n')
}

function badForm(reason: string): PracticeError {
  return new PracticeError(400, `Could not parse multipart form: ${reason}.`)
}
