/** Parses JSON; undefined where the text is none. */
export function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

/** Tells whether a value is a JSON object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns a text that is not empty, or undefined. */
export function readText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Returns the texts of a list, passing over what is none. */
export function readTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => readText(item) !== undefined) : []
}

/** Reads a date and time of RFC 3339 as Unix milliseconds, or undefined. */
export function readTime(value: unknown): number | undefined {
  const text = readText(value)
  if (text === undefined || !/^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:[Zz]|[+-]\d\d:\d\d)$/.test(text)) {
    return undefined
  }
  const time = Date.parse(text.toUpperCase().replace(' ', 'T'))
  return Number.isNaN(time) ? undefined : time
}
