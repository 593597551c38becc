import { randomId, unixTime } from './ids.ts'
import type { JsonObject } from './json.ts'
import { numberField, objectsIn, requireText } from './json.ts'
import { composeReply, countTokens, lastUserText } from './text.ts'
import { chooseTool } from './tools.ts'
import type { ToolCall } from './tools.ts'

/** The state of a response, as far as the imitation goes through it. */
export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'cancelled'

/** A response object of the Responses API, in the fields that this imitation fills with meaning, and all others. */
export interface PracticeResponse extends JsonObject {
  readonly id: string
  readonly model: string
  readonly background: boolean
  readonly status: ResponseStatus
  readonly output: readonly JsonObject[]
}

/** What the imitated model will say: a text, or the call of a function. */
export interface ResponsePlan {
  readonly itemId: string
  readonly text: string
  readonly call: (ToolCall & { readonly id: string }) | undefined
}

/** Decides what the model will say to a request. */
export function planResponse(body: JsonObject): ResponsePlan {
  const userText = lastUserText(body['input'])
  const call = chooseTool(body, userText)
  const text = composeReply(requireText(body, 'model'), userText)
  if (call === undefined) return { itemId: randomId('msg_'), text, call }
  return { itemId: randomId('fc_'), text: '', call: { ...call, id: randomId('call_') } }
}

/** Makes the response object as it is before the first word. */
export function openResponse(body: JsonObject): PracticeResponse {
  return {
    id: randomId('resp_'),
    object: 'response',
    created_at: unixTime(),
    status: body['background'] === true ? 'queued' : 'in_progress',
    background: body['background'] === true,
    completed_at: null,
    error: null,
    incomplete_details: null,
    instructions: body['instructions'] ?? null,
    max_output_tokens: body['max_output_tokens'] ?? null,
    model: requireText(body, 'model'),
    output: [],
    parallel_tool_calls: true,
    previous_response_id: body['previous_response_id'] ?? null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store: body['store'] !== false,
    temperature: numberField(body, 'temperature') ?? 1,
    text: { format: { type: 'text' }, verbosity: 'medium' },
    tool_choice: body['tool_choice'] ?? 'auto',
    tools: objectsIn(body['tools']).map((tool) => ({ strict: true, parameters: null, ...tool })),
    top_p: numberField(body, 'top_p') ?? 1,
    truncation: 'disabled',
    usage: null,
    metadata: body['metadata'] ?? {},
  }
}

/** Makes the response object as it is after the last word. */
export function completeResponse(response: PracticeResponse, plan: ResponsePlan, input: unknown): PracticeResponse {
  const inputTokens = countTokens(JSON.stringify(input))
  const outputTokens = countTokens(plan.call?.arguments ?? plan.text)
  return {
    ...response,
    status: 'completed',
    completed_at: unixTime(),
    output: [outputItem(plan, 'completed')],
    usage: {
      input_tokens: inputTokens,
      input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
      output_tokens: outputTokens,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: inputTokens + outputTokens,
    },
  }
}

/** Makes the output item of a plan: still empty while in progress, full when completed. */
export function outputItem(plan: ResponsePlan, status: 'in_progress' | 'completed'): JsonObject {
  const isFull = status === 'completed'
  if (plan.call === undefined) {
    const content = isFull ? [textPart(plan.text)] : []
    return { id: plan.itemId, type: 'message', status, role: 'assistant', content }
  }
  const { id, name } = plan.call
  const argumentText = isFull ? plan.call.arguments : ''
  return { id: plan.itemId, type: 'function_call', status, call_id: id, name, arguments: argumentText }
}

/** Makes the content part that carries text. */
export function textPart(text: string): JsonObject {
  return { type: 'output_text', text, annotations: [], logprobs: [] }
}
