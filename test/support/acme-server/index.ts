import type { Test } from 'tap'
import { createAuthority } from './authority.ts'
import { usualBehaviour } from './behaviour.ts'
import type { Behaviour } from './behaviour.ts'
import type { TxtLookup, World } from './context.ts'
import type { EndpointName } from './endpoints.ts'
import { createFaultPlan } from './fault-plan.ts'
import type { FaultOptions } from './fault-plan.ts'
import type { Fault } from './faults.ts'
import { listen } from './listener.ts'
import { createRespond } from './respond.ts'
import type { LoggedRequest } from './respond.ts'
import type { IssuedCertificate, Store } from './store.ts'

export type { Answer, Fault } from './faults.ts'
export { changed, hang, html, refusal, reset } from './faults.ts'
export { askServers } from './lookup.ts'

/** How a server is started; `behaviour` can be changed later. */
export interface AcmeServerOptions {
  readonly behaviour?: Partial<Behaviour>
  /** Unix milliseconds: the time that the authority lives in. */
  readonly now?: () => number
  /** A number from 0 up to but not 1, for bad nonces. */
  readonly random?: () => number
  /** How it sees the DNS; `server.records` otherwise. */
  readonly lookup?: TxtLookup
  /** Key ids of external accounts and their keys, base64url; an account needs one where there are any. */
  readonly externalAccounts?: Readonly<Record<string, string>>
  /** Names of profiles and how many milliseconds their certificates live. */
  readonly profiles?: Readonly<Record<string, number>>
  readonly hasRenewalInfo?: boolean
  /** The first is the one of the default chain, the others those of alternates. */
  readonly rootCount?: number
  readonly hasTls?: boolean
}

/** A certificate authority in this process (RFC 8555, RFC 9773, profiles). */
export interface AcmeServer {
  /** The URL of its directory. */
  readonly directory: string
  readonly origin: string
  /** What a client must trust to ask it, PEM; undefined without TLS. */
  readonly roots: string | undefined
  /** The roots that its certificates lead to, PEM, and their common names. */
  readonly issuingRoots: readonly string[]
  readonly rootNames: readonly string[]
  readonly behaviour: Behaviour
  readonly store: Store
  /** What it sees in the DNS unless a lookup was given: TXT values by name. */
  readonly records: Map<string, readonly string[]>
  readonly requests: readonly Readonly<LoggedRequest>[]
  /** How often an endpoint was asked. */
  count(endpoint: EndpointName): number
  /** Has the next request to an endpoint, or to any, fail. Several faults come one after the other. */
  fail(endpoint: EndpointName | 'any', fault: Fault, options?: FaultOptions): void
  /** Forgets all faults that are still to come. */
  heal(): void
  /** Answers about the renewal of a certificate (its PEM) with this text or JSON; undefined restores the truth. */
  forceRenewalWindow(pem: string, answer: string | object | undefined): void
  /** Finds a certificate by its PEM, leaf first. */
  find(pem: string): IssuedCertificate
  /** Ends connections and listens no more; it ends with the test anyway. */
  stop(): Promise<void>
}

/** Starts an authority on a free port of 127.0.0.1. It ends with the test. */
export async function startAcmeServer(t: Test, options: AcmeServerOptions = {}): Promise<AcmeServer> {
  const { now = Date.now, random = Math.random, rootCount = 1, hasTls = true } = options
  const records = new Map<string, readonly string[]>()
  const requests: LoggedRequest[] = []
  const faults = createFaultPlan()
  const world: World = {
    store: { accounts: [], authorizations: [], orders: [], certificates: [] },
    behaviour: { ...usualBehaviour(), ...options.behaviour },
    authority: await createAuthority(rootCount, now()),
    lookup: options.lookup ?? (async (name) => records.get(name) ?? []),
    now,
    externalAccounts: options.externalAccounts ?? {},
    profiles: options.profiles ?? {},
    hasRenewalInfo: options.hasRenewalInfo ?? true,
    origin: () => listener.origin,
  }
  const listener = await listen(hasTls, createRespond(world, faults, requests, random))
  t.teardown(() => listener.stop())

  function find(pem: string): IssuedCertificate {
    const found = world.store.certificates.find(({ leaf }) => pem.trim().startsWith(leaf.trim()))
    if (found === undefined) throw new Error('This certificate is not from here.')
    return found
  }

  return {
    directory: `${listener.origin}/directory`,
    origin: listener.origin,
    roots: listener.roots,
    issuingRoots: world.authority.roots,
    rootNames: world.authority.rootNames,
    behaviour: world.behaviour,
    store: world.store,
    records,
    requests,
    count: (name) => requests.filter(({ endpoint }) => endpoint === name).length,
    fail: (endpoint, fault, times) => faults.add(endpoint, fault, times),
    heal: () => faults.clear(),
    forceRenewalWindow(pem, answer) {
      find(pem).forcedWindow = typeof answer === 'object' ? JSON.stringify(answer) : answer
    },
    find,
    stop: () => listener.stop(),
  }
}
