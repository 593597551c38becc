import { createRequire } from 'node:module'

/** Returns `soakp/<version>`. RFC 8555 section 6.1 wants a User-Agent, and authorities refuse requests without one. */
export function readUserAgent(): string {
  const { version } = createRequire(import.meta.url)('soakp/package.json') as { readonly version: string }
  return `soakp/${version}`
}
