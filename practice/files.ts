import { PracticeError, missingParameter } from './errors.ts'
import type { Exchange } from './exchange.ts'
import type { FileShelf } from './file-shelf.ts'
import { readForm, textPart } from './multipart.ts'
import { listPage } from './pages.ts'
import type { Route } from './router.ts'
import { sendBytes, sendJson } from './send.ts'

/** Files: upload, list, describe, delete, and download whole or in ranges. */
export function fileRoutes(shelf: FileShelf): readonly Route[] {
  async function create(exchange: Exchange): Promise<void> {
    const parts = await readForm(exchange)
    const file = parts.find(({ name }) => name === 'file')
    if (file === undefined) throw missingParameter('file')
    const purpose = textPart(parts, 'purpose')
    if (purpose === undefined) throw missingParameter('purpose')
    sendJson(exchange.response, shelf.add(file.filename ?? 'file', purpose, file.data, file.bytes))
  }

  function list({ response, query }: Exchange): void {
    const purpose = query.get('purpose')
    const files = shelf.list().filter((file) => purpose === null || file.purpose === purpose)
    sendJson(response, listPage(files, query))
  }

  function retrieve({ response, params }: Exchange): void {
    sendJson(response, shelf.get(params['file'] ?? '').object)
  }

  function remove({ response, params }: Exchange): void {
    const { object } = shelf.get(params['file'] ?? '')
    shelf.remove(object.id)
    sendJson(response, { id: object.id, object: 'file', deleted: true })
  }

  function download({ request, response, params }: Exchange): void {
    const { object, content } = shelf.get(params['file'] ?? '')
    if (content.length !== object.bytes) {
      throw new PracticeError(400, 'The practice upstream does not keep files of more than 8 MiB.')
    }
    response.setHeader('accept-ranges', 'bytes')
    response.setHeader('content-disposition', `attachment; filename="${encodeURIComponent(object.filename)}"`)
    const range = readRange(request.headers.range, content.length)
    if (range === undefined) return sendBytes(response, 'application/octet-stream', content)
    const { start, end } = range
    if (start >= end) {
      const headers = { 'content-range': `bytes */${content.length}` }
      throw new PracticeError(416, 'The requested range is not satisfiable.', { headers })
    }
    const headers = { 'content-range': `bytes ${start}-${end - 1}/${content.length}` }
    return sendBytes(response, 'application/octet-stream', content.subarray(start, end), 206, headers)
  }

  return [
    { method: 'POST', path: '/files', answer: create },
    { method: 'GET', path: '/files', answer: list },
    { method: 'GET', path: '/files/:file', answer: retrieve },
    { method: 'DELETE', path: '/files/:file', answer: remove },
    { method: 'GET', path: '/files/:file/content', answer: download },
  ]
}

/** Reads a single byte range (RFC 9110, 14.2); other forms are ignored, as the RFC allows. An empty one is beyond the end. */
function readRange(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (first === '' && last === '') return undefined
  if (first === '') return { start: Math.max(0, size - Number(last)), end: size }
  return { start: Number(first), end: last === '' ? size : Math.min(size, Number(last) + 1) }
}
