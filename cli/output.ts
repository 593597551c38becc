/** Returns lines of names and texts, the texts aligned; what is undefined has no line. */
export function describedLines(pairs: readonly (readonly [name: string, text: string | undefined])[]): string[] {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined)
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown.map(([name, text]) => `${name.padEnd(width)}  ${text}`)
}

/** Returns lines of a table whose columns are aligned. */
export function tableLines(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [headings, ...rows]
  const widths = headings.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

/** Returns Unix seconds as ISO 8601 in local time, `2026-11-24T21:46:03+01:00`. */
export function localTime(seconds: number): string {
  const date = new Date(seconds * 1_000)
  const offsetMinutes = -date.getTimezoneOffset()
  const local = new Date(date.getTime() + offsetMinutes * 60_000).toISOString().slice(0, 19)
  const offset = new Date(Math.abs(offsetMinutes) * 60_000).toISOString().slice(11, 16)
  return `${local}${offsetMinutes < 0 ? '-' : '+'}${offset}`
}

/** Returns a text that others chose with its control characters shown, so that it cannot steer a terminal. */
export function plainText(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`)
}
