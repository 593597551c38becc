import { completeChat } from './chat.ts'
import { embed } from './embeddings.ts'
import { PracticeError, invalidValue } from './errors.ts'
import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import type { FileShelf } from './file-shelf.ts'
import { randomId, unixTime } from './ids.ts'
import { isJsonObject, requireText, textField } from './json.ts'
import type { JsonObject } from './json.ts'
import { listPage } from './pages.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'

const workers: Readonly<Record<string, (body: JsonObject) => JsonObject>> = {
  '/v1/chat/completions': completeChat,
  '/v1/embeddings': embed,
}

/** Batches of chat completions or embeddings. Each look at a batch brings it one step on: validating, in progress, completed. */
export function batchRoutes(shelf: FileShelf): readonly Route[] {
  const batches = new Map<string, Batch>()

  async function create(exchange: Exchange): Promise<void> {
    const body = await readJson(exchange)
    const inputFileId = requireText(body, 'input_file_id')
    const endpoint = requireText(body, 'endpoint')
    if (workers[endpoint] === undefined) {
      throw invalidValue('endpoint', `Invalid value: '${endpoint}'. Practise with: ${Object.keys(workers).join(', ')}.`)
    }
    shelf.get(inputFileId)
    const batch: Batch = {
      id: randomId('batch_'),
      object: 'batch',
      endpoint,
      input_file_id: inputFileId,
      completion_window: requireText(body, 'completion_window'),
      status: 'validating',
      created_at: unixTime(),
      expires_at: unixTime() + 24 * 3600,
      request_counts: { total: 0, completed: 0, failed: 0 },
      metadata: body['metadata'] ?? null,
    }
    batches.set(batch.id, batch)
    sendJson(exchange.response, batch)
  }

  function list({ response, query }: Exchange): void {
    sendJson(response, listPage([...batches.values()].toReversed(), query))
  }

  function retrieve({ response, params }: Exchange): void {
    const batch = find(params['batch'])
    if (batch.status === 'in_progress') finish(batch)
    if (batch.status === 'validating') Object.assign(batch, { status: 'in_progress', in_progress_at: unixTime() })
    sendJson(response, batch)
  }

  function cancel({ response, params }: Exchange): void {
    const batch = find(params['batch'])
    if (batch.status === 'completed') throw new PracticeError(409, `Batch ${batch.id} is already completed.`)
    const now = unixTime()
    Object.assign(batch, { status: 'cancelled', cancelling_at: now, cancelled_at: now })
    sendJson(response, { ...batch, status: 'cancelling' })
  }

  function find(id = ''): Batch {
    const batch = batches.get(id)
    if (batch === undefined) throw new PracticeError(404, `No batch found with id '${id}'.`)
    return batch
  }

  function finish(batch: Batch): void {
    const lines = shelf
      .get(batch.input_file_id)
      .content.toString()
      .split('\n')
      .filter((line) => line.trim() !== '')
    const results = lines.map((line) => work(batch.endpoint, line))
    const failed = results.filter(({ error }) => error !== null).length
    const output = results.map((result) => JSON.stringify(result)).join('\n')
    const file = shelf.add(`${batch.id}_output.jsonl`, 'batch_output', Buffer.from(output))
    batch.request_counts = { total: lines.length, completed: lines.length - failed, failed }
    Object.assign(batch, { status: 'completed', output_file_id: file.id, completed_at: unixTime() })
  }

  return [
    { method: 'POST', path: '/batches', answer: create },
    { method: 'GET', path: '/batches', answer: list },
    { method: 'GET', path: '/batches/:batch', answer: retrieve },
    { method: 'POST', path: '/batches/:batch/cancel', answer: cancel },
  ]
}

interface Batch {
  readonly id: string
  readonly object: 'batch'
  readonly endpoint: string
  readonly input_file_id: string
  readonly completion_window: string
  readonly created_at: number
  readonly expires_at: number
  readonly metadata: unknown
  request_counts: { readonly total: number; readonly completed: number; readonly failed: number }
  status: 'validating' | 'in_progress' | 'completed' | 'cancelled'
}

interface BatchResult {
  readonly id: string
  readonly custom_id: string | null
  readonly response: object | null
  readonly error: { readonly code: string; readonly message: string } | null
}

function work(endpoint: string, line: string): BatchResult {
  const id = randomId('batch_req_')
  let customId: string | null = null
  try {
    const request: unknown = JSON.parse(line)
    if (!isJsonObject(request) || !isJsonObject(request['body'])) throw new Error('This line is not a request.')
    customId = textField(request, 'custom_id') ?? null
    const response = { status_code: 200, request_id: randomId('req_'), body: workers[endpoint]?.(request['body']) }
    return { id, custom_id: customId, response, error: null }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return { id, custom_id: customId, response: null, error: { code: 'invalid_request', message } }
  }
}
