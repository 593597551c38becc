import { Ajv } from 'ajv'
import type { ValidateFunction } from 'ajv'

/** What Fastify hands to a validator compiler. */
export interface RouteSchema {
  readonly schema: unknown
  readonly httpPart?: string | undefined
}

/**
 * Creates the compiler of route schemas. Bodies are taken as they are: Fastify's default would turn `null` into `""` and
 * drop unknown fields silently. Query strings are text, so there numbers are read from it.
 */
export function createValidatorCompiler(): (route: RouteSchema) => ValidateFunction {
  const options = { useDefaults: true, removeAdditional: false, allErrors: false } as const
  const exact = new Ajv({ ...options, coerceTypes: false })
  const coercing = new Ajv({ ...options, coerceTypes: true })
  return ({ schema, httpPart }) => (httpPart === 'querystring' ? coercing : exact).compile(schema as object)
}
