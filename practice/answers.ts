import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Answers in place of an endpoint. The body is still unread: call `readBody` for all of it, read the request as a
 * stream, or leave it. What it throws becomes a 500.
 */
export type PracticeHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  readBody: () => Promise<Buffer>,
) => void | Promise<void>

/** The answers that a test has put in place of the endpoints. */
export interface OwnAnswers {
  /** Adds a handler or replaces the one of the same method and path. Returns a function that takes it back. */
  add(method: string, path: string, handler: PracticeHandler): () => void
  /** Finds the handler; an exact path goes before `*`, and with the same path an exact method before `*`. */
  find(method: string, path: string): PracticeHandler | undefined
}

/** Makes an empty collection of own answers. */
export function createOwnAnswers(): OwnAnswers {
  const handlers = new Map<string, PracticeHandler>()
  return {
    add(method, path, handler) {
      const name = `${method} ${path}`
      handlers.set(name, handler)
      return () => {
        if (handlers.get(name) === handler) handlers.delete(name)
      }
    },
    find(method, path) {
      if (handlers.size === 0) return undefined
      const names = [`${method} ${path}`, `* ${path}`, `${method} *`, '* *']
      return names.map((name) => handlers.get(name)).find((handler) => handler !== undefined)
    },
  }
}
