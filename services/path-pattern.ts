import { SoakpError } from './errors.ts'

/**
 * Checks a path pattern of a token's scope and returns it. Patterns match the path after `/v1`: `*` is one segment,
 * `**` the rest, which may be empty. Throws `SOAKP_SCOPE_INVALID`.
 */
export function checkPathPattern(pattern: string): string {
  const segments = pattern.split('/').slice(1)
  if (!pattern.startsWith('/') || segments.some(isAmbiguous) || /[?#]/.test(pattern)) {
    throw invalid(pattern, 'write it like /chat/completions, decoded, without a query and without a slash at the end')
  }
  if (segments[0] === 'v1') throw invalid(pattern, 'patterns match the path after /v1; leave /v1 out')
  if (segments.slice(0, -1).includes('**')) throw invalid(pattern, '** is the rest of the path and must come last')
  if (segments.some((segment) => segment.includes('*') && segment !== '*' && segment !== '**')) {
    throw invalid(pattern, '* stands for one whole segment')
  }
  return pattern
}

/**
 * Tells whether a raw path (after `/v1`, without query) matches one of the patterns when decoded once. A path that
 * servers may read in more than one way (encoded slashes, dot segments, empty segments, `%25`, `#`) matches none.
 */
export function matchesPath(patterns: readonly string[], rawPath: string): boolean {
  const segments = canonicalSegments(rawPath)
  return segments !== undefined && patterns.some((pattern) => matches(pattern.split('/').slice(1), segments))
}

function matches(pattern: readonly string[], segments: readonly string[]): boolean {
  const rest = pattern.at(-1) === '**'
  const fixed = rest ? pattern.slice(0, -1) : pattern
  if (rest ? segments.length < fixed.length : segments.length !== fixed.length) return false
  return fixed.every((each, index) => each === '*' || each === segments[index])
}

function canonicalSegments(rawPath: string): string[] | undefined {
  // A request target has no fragment (RFC 9112 section 3.2); nginx takes `/files/#/content` for `/files/`.
  if (rawPath.includes('#')) return undefined
  try {
    const segments = rawPath.split('/').slice(1).map(decodeURIComponent)
    return rawPath.startsWith('/') && !segments.some(isAmbiguous) ? segments : undefined
  } catch {
    return undefined
  }
}

function isAmbiguous(segment: string): boolean {
  return segment === '' || segment === '.' || segment === '..' || AMBIGUOUS.test(segment)
}

/** What a decoded segment must not hold: separators, a second encoding, path parameters, control characters. */
// oxlint-disable-next-line no-control-regex -- control characters are what it looks for
const AMBIGUOUS = /[/\\%;\u0000-\u001f\u007f]/

function invalid(pattern: string, what: string): SoakpError {
  return new SoakpError(400, 'SOAKP_SCOPE_INVALID', `The path pattern "${pattern}" is not understood: ${what}.`, {
    param: 'scope.paths',
  })
}
