import type { Problem } from './problem.ts'

/** What the server answers to one request. */
export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** An object is sent as JSON. */
  readonly body?: string | object
}

/**
 * What goes wrong with a request. `carryOut` does what is asked and returns the right answer: a fault that calls it first
 * fails after the commit. `reset` ends the connection, `hang` never answers.
 */
export type Fault = (carryOut: () => Promise<Answer>) => Answer | 'reset' | 'hang' | Promise<Answer | 'reset' | 'hang'>

/** How a refusal differs. */
export interface RefusalOptions {
  readonly status?: number
  readonly detail?: string
  /** Seconds or a date. */
  readonly retryAfter?: string | number
  readonly subproblems?: readonly Problem[]
  /** Does what is asked, and says that it did not. */
  readonly isCarriedOut?: boolean
}

/** Refuses with a problem: `refusal('rateLimited', { status: 429, retryAfter: 10_800 })`. */
export function refusal(type: string, options: RefusalOptions = {}): Fault {
  const { status = 400, detail = `${type} by the test`, retryAfter, subproblems, isCarriedOut = false } = options
  return async (carryOut) => {
    if (isCarriedOut) await carryOut()
    return {
      status,
      headers: {
        'content-type': 'application/problem+json',
        ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
      },
      body: { type: `urn:ietf:params:acme:error:${type}`, detail, status, ...(subproblems && { subproblems }) },
    }
  }
}

/** Answers as a proxy does whose server is gone. */
export function html(status = 502, options: { readonly isCarriedOut?: boolean } = {}): Fault {
  return async (carryOut) => {
    if (options.isCarriedOut === true) await carryOut()
    const body = `<!doctype html><title>${status}</title><h1>${status}</h1>`
    return { status, headers: { 'content-type': 'text/html' }, body }
  }
}

/** Ends the connection, before it does what is asked or after. */
export function reset(options: { readonly isCarriedOut?: boolean } = {}): Fault {
  return async (carryOut) => {
    if (options.isCarriedOut === true) await carryOut()
    return 'reset' as const
  }
}

/** Never answers. */
export const hang: Fault = () => 'hang'

/** Does what is asked and changes the answer. */
export function changed(change: (answer: Answer) => Answer): Fault {
  return async (carryOut) => change(await carryOut())
}
