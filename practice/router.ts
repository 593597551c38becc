import { PracticeError } from './errors.ts'
import type { Exchange } from './exchange.ts'

/** One endpoint: a method, a path below /v1 in which `:name` stands for one segment, and what answers there. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly answer: (exchange: Exchange) => void | Promise<void>
}

/** A route and the values of its path's names. */
export interface RouteMatch {
  readonly route: Route
  readonly params: Readonly<Record<string, string>>
}

/** Finds the endpoint; HEAD finds that of GET. Throws OpenAI's 404 for an unknown path, its 405 for a wrong method. */
export function findRoute(routes: readonly Route[], method: string, path: string): RouteMatch {
  const wanted = method === 'HEAD' ? 'GET' : method
  let isKnownPath = false
  for (const route of routes) {
    const params = matchPath(`/v1${route.path}`, path)
    if (params === undefined) continue
    if (route.method === wanted) return { route, params }
    isKnownPath = true
  }
  if (!isKnownPath) throw new PracticeError(404, `Invalid URL (${method} ${path})`)
  const message = `Not allowed to ${method} on ${path}. (HINT: Perhaps you meant to use a different HTTP method?)`
  throw new PracticeError(405, message, { code: 'method_not_supported' })
}

function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const names = pattern.split('/')
  const segments = path.split('/')
  if (names.length !== segments.length) return undefined
  const params: Record<string, string> = {}
  for (const [index, name] of names.entries()) {
    const segment = segments[index] ?? ''
    if (!name.startsWith(':')) {
      if (name !== segment) return undefined
      continue
    }
    if (segment === '') return undefined
    params[name.slice(1)] = decode(segment)
  }
  return params
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
