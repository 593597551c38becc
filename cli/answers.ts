import type { Command } from 'commander'
import type { Answer } from './connection.ts'
import { plainText } from './output.ts'

/** Options that every command has. */
export interface OutputOptions {
  readonly json?: true
}

/** Options of lists. */
export interface PageOptions extends OutputOptions {
  readonly limit?: number
  readonly after?: string
}

/** A list as the API gives it. */
export interface List<Item> {
  readonly data: readonly Item[]
  readonly has_more: boolean
}

/** Adds `--json` to a command. */
export function withJson(command: Command): Command {
  return command.option('--json', "print the API's JSON")
}

/** Prints an answer: as it came with `--json`, else as lines for people. */
export function show<Value>(
  answer: Answer<Value>,
  { json }: OutputOptions,
  lines: (value: Value) => readonly string[],
): void {
  const text = json ? answer.text : lines(answer.value).map(plainText).join('\n')
  process.stdout.write(`${text}\n`)
}

/** Returns the query of a list, `?limit=20`, without what is not asked for. */
export function queryOf(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, String(value))
  return query.size === 0 ? '' : `?${query.toString()}`
}

/** Returns the line that says how the list goes on, if it does. */
export function moreLines<Item extends { readonly id: string }>({ data, has_more }: List<Item>): string[] {
  const last = data.at(-1)
  return has_more && last !== undefined ? [`There are more: --after ${last.id}`] : []
}
