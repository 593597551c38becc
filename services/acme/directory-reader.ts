import { isObject, readJson, readText, readTexts } from '../json.ts'
import { readHttpDate } from '../retry-after.ts'
import type { AcmeClientOptions } from './client.ts'
import { AcmeError } from './error.ts'
import type { AcmeDirectory } from './index.ts'
import { createRefusal } from './refusal.ts'
import type { AcmeAnswer, Transport } from './transport.ts'

/** A directory as it was answered, with the addresses that calls go to. */
export interface KnownDirectory {
  readonly shown: AcmeDirectory
  readonly resources: Readonly<Record<string, unknown>>
}

/** Reads the directory of an authority and remembers it for a day. */
export interface DirectoryReader {
  read(signal: AbortSignal): Promise<KnownDirectory>
  /** Has it read again by the next call: an address in it seems to have moved. */
  forget(): void
}

const DAY_MS = 86_400_000

/** What is shown of a directory, which may be anybody's, is kept short. */
const LONGEST_TEXT = 500
const LONGEST_NAME = 64
const MOST_IDENTITIES = 20
const MOST_PROFILES = 50

/** Creates the reader of the directory. */
export function createDirectoryReader(
  { directory: url, clock }: AcmeClientOptions,
  transport: Transport,
): DirectoryReader {
  let known: (KnownDirectory & { readonly at: number }) | undefined

  return {
    async read(signal) {
      if (known !== undefined && Math.abs(clock.now() - known.at) < DAY_MS) return known
      const before = clock.now()
      const answer = await transport.send({ url, method: 'GET' }, signal)
      const at = clock.now()
      if (answer.status !== 200) throw createRefusal(url, 'to show the directory', answer, clock)
      const resources = parse(url, answer)
      known = { at, resources, shown: show(url, resources, readOffset(answer, (before + at) / 2)) }
      return known
    },

    forget() {
      known = undefined
    },
  }
}

function parse(url: string, { text }: AcmeAnswer): Readonly<Record<string, unknown>> {
  const value = readJson(text)
  const isComplete =
    isObject(value) && ['newNonce', 'newAccount', 'newOrder'].every((name) => readText(value[name]) !== undefined)
  if (isComplete) return value
  const message = `What ${url} answers is no ACME directory. Look at SOAKP_ACME_DIRECTORY, and at proxies that answer in its place.`
  throw new AcmeError(url, message, { answered: 200 })
}

function show(
  url: string,
  resources: Readonly<Record<string, unknown>>,
  clockOffsetMs: number | undefined,
): AcmeDirectory {
  const meta = isObject(resources['meta']) ? resources['meta'] : {}
  const profiles = isObject(meta['profiles']) ? meta['profiles'] : {}
  return {
    url,
    termsOfService: readText(meta['termsOfService'])?.slice(0, LONGEST_TEXT),
    website: readText(meta['website'])?.slice(0, LONGEST_TEXT),
    caaIdentities: readTexts(meta['caaIdentities']).slice(0, MOST_IDENTITIES),
    externalAccountRequired: meta['externalAccountRequired'] === true,
    profiles: Object.fromEntries(
      Object.entries(profiles)
        .filter(([name]) => name.length <= LONGEST_NAME)
        .slice(0, MOST_PROFILES)
        .map(([name, text]) => [name, (readText(text) ?? '').slice(0, LONGEST_TEXT)]),
    ),
    hasRenewalInfo: readText(resources['renewalInfo']) !== undefined,
    clockOffsetMs,
  }
}

/** The header holds whole seconds, cut off. */
function readOffset({ headers }: AcmeAnswer, now: number): number | undefined {
  const date = readHttpDate(headers['date'])
  return date === undefined ? undefined : Math.round(date + 500 - now)
}
