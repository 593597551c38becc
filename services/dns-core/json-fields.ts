import { isObject, readJson } from '../json.ts'

/** A JSON object of which nothing is known. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Returns the object that JSON text holds, an empty one where it is something else. */
export function parseObject(text: string): JsonObject {
  return objectOf(readJson(text))
}

/** Returns the value where it is an object, else an empty one. */
export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {}
}

/** Returns the objects of a list, undefined where it is no list. */
export function objectsOf(value: unknown): readonly JsonObject[] | undefined {
  return Array.isArray(value) ? value.map(objectOf) : undefined
}

/** Returns the value where it is a string. */
export function stringOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
