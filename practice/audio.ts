import { missingParameter } from './errors.ts'
import { streamEvents } from './events.ts'
import type { ServerSentEvent } from './events.ts'
import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import { requireField, requireText, textField } from './json.ts'
import { readForm, textPart } from './multipart.ts'
import type { Route } from './router.ts'
import { sendBytes, sendJson } from './send.ts'
import { synthesise } from './sound.ts'
import { countTokens, pauseOf, splitWords } from './text.ts'

/** Speech, transcriptions and translations. */
export const audioRoutes: readonly Route[] = [
  { method: 'POST', path: '/audio/speech', answer: speak },
  { method: 'POST', path: '/audio/transcriptions', answer: (exchange) => listen(exchange, 'transcribe') },
  { method: 'POST', path: '/audio/translations', answer: (exchange) => listen(exchange, 'translate') },
]

const audioChunkBytes = 4096

/** Answers with a WAV file whatever `response_format` says, or with it in base64 pieces as events. */
async function speak(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange)
  const model = requireText(body, 'model')
  const input = requireText(body, 'input')
  requireField(body, 'voice')
  const wav = synthesise(splitWords(input).length)
  if (textField(body, 'stream_format') !== 'sse') return sendBytes(exchange.response, 'audio/wav', wav)
  const pieces = Array.from({ length: Math.ceil(wav.length / audioChunkBytes) }, (_, index) =>
    wav.subarray(index * audioChunkBytes, (index + 1) * audioChunkBytes),
  )
  const usage = countUsage(countTokens(input), pieces.length)
  const events = [
    ...pieces.map((piece) => ({ type: 'speech.audio.delta', audio: piece.toString('base64') })),
    { type: 'speech.audio.done', usage },
  ]
  return streamEvents(exchange, events.map(nameEvent), pauseOf(model, exchange.chunkDelayMs))
}

async function listen(exchange: Exchange, task: 'transcribe' | 'translate'): Promise<void> {
  const parts = await readForm(exchange)
  const file = parts.find(({ name }) => name === 'file')
  if (file === undefined) throw missingParameter('file')
  const model = textPart(parts, 'model')
  if (model === undefined) throw missingParameter('model')
  const text = `The practice upstream heard ${file.bytes} bytes in ${file.filename ?? 'a file'}.`
  if (task === 'transcribe' && textPart(parts, 'stream') === 'true') {
    const usage = { type: 'tokens', ...countUsage(1, countTokens(text)) }
    const deltas = splitWords(text).map((delta) => ({ type: 'transcript.text.delta', delta }))
    const events = [...deltas, { type: 'transcript.text.done', text, usage }]
    return streamEvents(exchange, events.map(nameEvent), pauseOf(model, exchange.chunkDelayMs))
  }
  return sendTranscript(exchange, task, text, textPart(parts, 'response_format') ?? 'json')
}

function sendTranscript({ response }: Exchange, task: string, text: string, format: string): void {
  const plain = 'text/plain; charset=utf-8'
  if (format === 'text') return sendBytes(response, plain, Buffer.from(`${text}\n`))
  if (format === 'srt') return sendBytes(response, plain, Buffer.from(`1\n00:00:00,000 --> 00:00:01,000\n${text}\n\n`))
  if (format === 'vtt') {
    return sendBytes(response, plain, Buffer.from(`WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n${text}\n\n`))
  }
  const usage = { type: 'duration', seconds: 1 }
  if (format !== 'verbose_json') return sendJson(response, task === 'transcribe' ? { text, usage } : { text })
  const segment = { id: 0, seek: 0, start: 0, end: 1, text, tokens: [], temperature: 0 }
  const segments = [{ ...segment, avg_logprob: -0.1, compression_ratio: 1, no_speech_prob: 0 }]
  return sendJson(response, { task, language: 'english', duration: 1, text, segments, usage })
}

function countUsage(inputTokens: number, outputTokens: number) {
  return { input_tokens: inputTokens, output_tokens: outputTokens, total_tokens: inputTokens + outputTokens }
}

function nameEvent(data: { readonly type: string }): ServerSentEvent {
  return { event: data.type, data }
}
