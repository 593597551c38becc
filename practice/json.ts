import { invalidValue, missingParameter } from './errors.ts'

/** A parsed JSON object whose fields are still to be checked. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Tells an object from arrays, null and plain values. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns the objects in an array; of anything else, none. */
export function objectsIn(value: unknown): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : []
}

/** Returns a text field, or undefined when it is absent or no text. */
export function textField(body: JsonObject, name: string): string | undefined {
  const value = body[name]
  return typeof value === 'string' ? value : undefined
}

/** Returns a number field, or undefined when it is absent or no number. */
export function numberField(body: JsonObject, name: string): number | undefined {
  const value = body[name]
  return typeof value === 'number' ? value : undefined
}

/** Returns a text field, or throws OpenAI's 400 that names it. */
export function requireText(body: JsonObject, name: string): string {
  const value = requireField(body, name)
  if (typeof value === 'string' && value !== '') return value
  throw invalidValue(name, `Invalid type for '${name}': expected a string.`)
}

/** Returns a field of any type, or throws OpenAI's 400 that names it. */
export function requireField(body: JsonObject, name: string): unknown {
  const value = body[name]
  if (value === undefined || value === null) throw missingParameter(name)
  return value
}
