import { PracticeError, missingParameter } from './errors.ts'
import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import type { FileShelf } from './file-shelf.ts'
import { randomId, unixTime } from './ids.ts'
import { numberField, requireText } from './json.ts'
import { readForm } from './multipart.ts'
import type { FormPart } from './multipart.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'

/** Uploads: a file that comes in parts. */
export function uploadRoutes(shelf: FileShelf): readonly Route[] {
  const uploads = new Map<string, OpenUpload>()

  async function create(exchange: Exchange): Promise<void> {
    const body = await readJson(exchange)
    const bytes = numberField(body, 'bytes')
    if (bytes === undefined) throw missingParameter('bytes')
    const upload: Upload = {
      id: randomId('upload_'),
      object: 'upload',
      bytes,
      created_at: unixTime(),
      filename: requireText(body, 'filename'),
      purpose: requireText(body, 'purpose'),
      status: 'pending',
      expires_at: unixTime() + 3600,
    }
    uploads.set(upload.id, { upload, parts: new Map() })
    sendJson(exchange.response, upload)
  }

  async function addPart(exchange: Exchange): Promise<void> {
    const { upload, parts } = findPending(exchange)
    const data = (await readForm(exchange)).find(({ name }) => name === 'data')
    if (data === undefined) throw missingParameter('data')
    const id = randomId('part_')
    parts.set(id, data)
    sendJson(exchange.response, { id, object: 'upload.part', created_at: unixTime(), upload_id: upload.id })
  }

  async function complete(exchange: Exchange): Promise<void> {
    const { upload, parts: known } = findPending(exchange)
    const ids: unknown = (await readJson(exchange))['part_ids']
    const parts = Array.isArray(ids) ? ids.map((id: unknown) => known.get(String(id))) : []
    const found = parts.filter((part) => part !== undefined)
    const bytes = found.reduce((sum, part) => sum + part.bytes, 0)
    if (found.length !== parts.length || bytes !== upload.bytes) {
      throw new PracticeError(400, `The parts have ${bytes} bytes, but the upload was announced with ${upload.bytes}.`)
    }
    const content = Buffer.concat(found.map(({ data }) => data))
    upload.status = 'completed'
    const file = shelf.add(upload.filename, upload.purpose, content, bytes)
    sendJson(exchange.response, { ...upload, file })
  }

  function cancel(exchange: Exchange): void {
    const { upload } = findPending(exchange)
    upload.status = 'cancelled'
    sendJson(exchange.response, upload)
  }

  function findPending({ params }: Exchange): OpenUpload {
    const open = uploads.get(params['upload'] ?? '')
    if (open === undefined) throw new PracticeError(404, `No such Upload object: ${params['upload']}`)
    const { id, status } = open.upload
    if (status === 'pending') return open
    throw new PracticeError(400, `Upload ${id} is already ${status}.`)
  }

  return [
    { method: 'POST', path: '/uploads', answer: create },
    { method: 'POST', path: '/uploads/:upload/parts', answer: addPart },
    { method: 'POST', path: '/uploads/:upload/complete', answer: complete },
    { method: 'POST', path: '/uploads/:upload/cancel', answer: cancel },
  ]
}

interface Upload {
  readonly id: string
  readonly object: 'upload'
  readonly bytes: number
  readonly created_at: number
  readonly filename: string
  readonly purpose: string
  readonly expires_at: number
  status: 'pending' | 'completed' | 'cancelled'
}

interface OpenUpload {
  readonly upload: Upload
  readonly parts: Map<string, FormPart>
}
