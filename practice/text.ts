import { isJsonObject, objectsIn } from './json.ts'

const slowPauseMs = 100
const slowWordCount = 600

/** Tells the models that take a minute: one word each 100 ms, 600 words, so that tests can cut in. */
export function isSlowModel(model: string): boolean {
  return model.startsWith('practice-slow')
}

/** Tells the pause before each event of a model's stream. */
export function pauseOf(model: string, chunkDelayMs: number): number {
  return isSlowModel(model) ? slowPauseMs : chunkDelayMs
}

/** Tells how long a model takes for an answer in one piece: nothing, or the slow models' whole minute. */
export function thinkingTimeOf(model: string): number {
  return isSlowModel(model) ? slowPauseMs * slowWordCount : 0
}

/** Writes the reply of the imitated model: a friendly word and the caller's own. */
export function composeReply(model: string, userText: string): string {
  if (isSlowModel(model)) return Array.from({ length: slowWordCount }, (_, index) => `word-${index + 1}`).join(' ')
  if (userText === '') return 'Hello from the practice upstream! Say something and I will say it back.'
  return `Hello from the practice upstream! You said: ${userText}`
}

/** Cuts text into words that keep their spaces, so that joining them gives the text again. */
export function splitWords(text: string): readonly string[] {
  return text.match(/\s*\S+|\s+$/g) ?? []
}

/** Shortens text to so many words. */
export function limitWords(text: string, limit: number | undefined): string {
  return limit === undefined ? text : splitWords(text).slice(0, limit).join('')
}

/** Counts tokens roughly: one word, one token. */
export function countTokens(text: string): number {
  return Math.max(1, splitWords(text).length)
}

/** Finds what the user said last in a list of chat messages or response input items. */
export function lastUserText(messages: unknown): string {
  if (typeof messages === 'string') return messages
  const message = objectsIn(messages).findLast(({ role }) => role === 'user')
  return textOfContent(message?.['content'])
}

function textOfContent(content: unknown): string {
  if (typeof content === 'string') return content
  const parts = Array.isArray(content) ? content.filter(isJsonObject) : []
  return parts.map(({ text }) => (typeof text === 'string' ? text : '')).join('')
}
