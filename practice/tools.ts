import { invalidValue } from './errors.ts'
import { isJsonObject, objectsIn } from './json.ts'
import type { JsonObject } from './json.ts'

/** The call of a function that the imitated model decided on; `arguments` is JSON text. */
export interface ToolCall {
  readonly name: string
  readonly arguments: string
}

/**
 * Decides on a tool call: only when `tool_choice` is `required` or names a function. Understands the nested form of
 * chat completions, `{ function: { name } }`, and the flat one of responses, `{ name }`.
 */
export function chooseTool(body: JsonObject, userText: string): ToolCall | undefined {
  const choice = body['tool_choice']
  const functions = objectsIn(body['tools']).map(functionOf)
  const wanted = isJsonObject(choice) ? functionOf(choice)['name'] : functions[0]?.['name']
  if (choice !== 'required' && !isJsonObject(choice)) return undefined
  const chosen = functions.find(({ name }) => name === wanted)
  if (chosen === undefined || typeof wanted !== 'string') {
    throw invalidValue('tool_choice', `Tool choice '${String(wanted)}' not found in 'tools' parameter.`)
  }
  return { name: wanted, arguments: JSON.stringify(inventArguments(chosen['parameters'], userText)) }
}

function functionOf(tool: JsonObject): JsonObject {
  return isJsonObject(tool['function']) ? tool['function'] : tool
}

/** Fills the required fields of a JSON schema: strings with what the user said, the rest with simple values. */
function inventArguments(schema: unknown, userText: string): JsonObject {
  if (!isJsonObject(schema) || !isJsonObject(schema['properties'])) return {}
  const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : []
  const fields = Object.entries(schema['properties']).filter(([name]) => required.includes(name))
  return Object.fromEntries(fields.map(([name, field]) => [name, inventValue(field, userText)]))
}

function inventValue(schema: unknown, userText: string): unknown {
  if (!isJsonObject(schema)) return null
  if (Array.isArray(schema['enum'])) return schema['enum'][0]
  if (schema['type'] === 'string') return userText
  if (schema['type'] === 'number' || schema['type'] === 'integer') return 1
  if (schema['type'] === 'boolean') return true
  if (schema['type'] === 'array') return []
  return schema['type'] === 'object' ? inventArguments(schema, userText) : null
}
