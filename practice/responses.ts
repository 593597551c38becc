import { streamEvents } from './events.ts'
import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import { PracticeError } from './errors.ts'
import { isJsonObject, requireField, requireText, textField } from './json.ts'
import type { JsonObject } from './json.ts'
import type { ResponseRun } from './response-run.ts'
import { startResponse } from './response-run.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'

// Enough for practice, little enough for a bench.
const storedRunLimit = 1000

/** The Responses API: whole, streamed, in the background, resumed and cancelled. Runs end with the signal. */
export function responseRoutes(closing: AbortSignal): readonly Route[] {
  const runs = new Map<string, ResponseRun>()

  async function create(exchange: Exchange): Promise<void> {
    const body = await readJson(exchange)
    requireText(body, 'model')
    requireField(body, 'input')
    checkPrevious(textField(body, 'previous_response_id'))
    const { stream, background, store } = body
    const isPaced = stream === true || background === true
    const run = startResponse(body, isPaced ? exchange.chunkDelayMs : 0, closing)
    if (store !== false) keep(run)
    // A response that nobody waits for is stopped, unless it was ordered to go on in the background.
    if (background !== true) exchange.signal.addEventListener('abort', () => run.stop())
    if (stream === true) return streamRun(exchange, run, 0)
    if (background !== true) await run.done
    return sendJson(exchange.response, run.response)
  }

  async function retrieve(exchange: Exchange): Promise<void> {
    const run = find(exchange)
    if (exchange.query.get('stream') !== 'true') return sendJson(exchange.response, run.response)
    return streamRun(exchange, run, Number(exchange.query.get('starting_after') ?? -1) + 1)
  }

  function remove(exchange: Exchange): void {
    const { response } = find(exchange)
    runs.delete(response.id)
    sendJson(exchange.response, { id: response.id, object: 'response', deleted: true })
  }

  async function cancel(exchange: Exchange): Promise<void> {
    const run = find(exchange)
    if (!run.response.background) throw new PracticeError(400, 'Cannot cancel a synchronous response.')
    run.stop()
    await run.done
    sendJson(exchange.response, run.response)
  }

  function listInput(exchange: Exchange): void {
    const data = inputItems(find(exchange))
    const edges = { first_id: data[0]?.['id'] ?? null, last_id: data.at(-1)?.['id'] ?? null }
    sendJson(exchange.response, { object: 'list', data, ...edges, has_more: false })
  }

  function keep(run: ResponseRun): void {
    runs.set(run.response.id, run)
    const [oldest] = runs.keys()
    if (runs.size > storedRunLimit && oldest !== undefined) runs.delete(oldest)
  }

  function find({ params }: Exchange): ResponseRun {
    const run = runs.get(params['response'] ?? '')
    if (run !== undefined) return run
    throw new PracticeError(404, `Response with id '${params['response']}' not found.`)
  }

  function checkPrevious(id: string | undefined): void {
    if (id === undefined || runs.has(id)) return
    throw new PracticeError(400, `Previous response with id '${id}' not found.`, {
      param: 'previous_response_id',
      code: 'previous_response_not_found',
    })
  }

  return [
    { method: 'POST', path: '/responses', answer: create },
    { method: 'GET', path: '/responses/:response', answer: retrieve },
    { method: 'DELETE', path: '/responses/:response', answer: remove },
    { method: 'POST', path: '/responses/:response/cancel', answer: cancel },
    { method: 'GET', path: '/responses/:response/input_items', answer: listInput },
  ]
}

function streamRun(exchange: Exchange, run: ResponseRun, start: number): Promise<void> {
  return streamEvents(exchange, namedEvents(exchange, run, start), 0)
}

async function* namedEvents(
  { signal }: Exchange,
  run: ResponseRun,
  start: number,
): AsyncGenerator<{ event: string; data: JsonObject }> {
  for await (const event of run.follow(start, signal)) yield { event: event.type, data: event }
}

function inputItems({ input, response }: ResponseRun): readonly JsonObject[] {
  const messages: readonly unknown[] = Array.isArray(input) ? input : [{ role: 'user', content: input }]
  return messages.filter(isJsonObject).map((message, index) => {
    const { content } = message
    const parts = typeof content === 'string' ? [{ type: 'input_text', text: content }] : content
    return {
      type: 'message',
      id: `msg_${response.id.slice(5)}_${index}`,
      status: 'completed',
      ...message,
      content: parts,
    }
  })
}
