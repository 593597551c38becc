import type { JsonObject } from './json.ts'
import { completeResponse, outputItem, textPart } from './response-object.ts'
import type { PracticeResponse, ResponsePlan } from './response-object.ts'
import { splitWords } from './text.ts'

/** An event of the Responses API; its sequence number is its place in the response's list of events. */
export interface ResponseEvent extends JsonObject {
  readonly type: string
  readonly sequence_number: number
  /** The whole response as it is from this event on, where the event carries it. */
  readonly response?: PracticeResponse
}

type UnnumberedEvent = JsonObject & { readonly type: string; readonly response?: PracticeResponse }

/** Writes all the events of a response, from `response.created` to `response.completed`. */
export function writeEvents(opened: PracticeResponse, plan: ResponsePlan, input: unknown): readonly ResponseEvent[] {
  const running: PracticeResponse = { ...opened, status: 'in_progress' }
  const events: readonly UnnumberedEvent[] = [
    { type: 'response.created', response: opened },
    ...(opened.background ? [{ type: 'response.queued', response: opened }] : []),
    { type: 'response.in_progress', response: running },
    { type: 'response.output_item.added', output_index: 0, item: outputItem(plan, 'in_progress') },
    ...(plan.call === undefined ? textEvents(plan) : callEvents(plan, plan.call)),
    { type: 'response.output_item.done', output_index: 0, item: outputItem(plan, 'completed') },
    { type: 'response.completed', response: completeResponse(running, plan, input) },
  ]
  return events.map((event, index) => ({ ...event, sequence_number: index }))
}

function textEvents({ itemId, text }: ResponsePlan): readonly UnnumberedEvent[] {
  const place = { item_id: itemId, output_index: 0, content_index: 0 }
  return [
    { type: 'response.content_part.added', ...place, part: textPart('') },
    ...splitWords(text).map((delta) => ({ type: 'response.output_text.delta', ...place, delta, logprobs: [] })),
    { type: 'response.output_text.done', ...place, text, logprobs: [] },
    { type: 'response.content_part.done', ...place, part: textPart(text) },
  ]
}

function callEvents(
  { itemId }: ResponsePlan,
  call: { readonly name: string; readonly arguments: string },
): readonly UnnumberedEvent[] {
  const place = { item_id: itemId, output_index: 0 }
  const pieces = call.arguments.match(/.{1,8}/gsu) ?? []
  return [
    ...pieces.map((delta) => ({ type: 'response.function_call_arguments.delta', ...place, delta })),
    { type: 'response.function_call_arguments.done', ...place, name: call.name, arguments: call.arguments },
  ]
}
