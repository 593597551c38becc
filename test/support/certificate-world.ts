import type { AcmeConfiguration } from '../../services/acme-configuration.ts'
import { createCertificateRequest } from '../../services/acme/certificate-request.ts'
import type { CertificatePair } from '../../services/certificate-pair.ts'
import type { CertificateEvent, Certificates } from '../../services/certificates/index.ts'
import { createCertificates } from '../../services/certificates/manager.ts'
import { createFakeClock } from './fake-clock.ts'
import type { FakeClock } from './fake-clock.ts'
import { createMemoryAuthority } from './memory-authority.ts'
import type { MemoryAuthority } from './memory-authority.ts'
import { createTestIssuer } from './memory-certificates.ts'
import type { TestIssuer } from './memory-certificates.ts'
import { createMemoryDns } from './memory-dns.ts'
import type { MemoryDns } from './memory-dns.ts'
import { createMemorySecrets } from './memory-secrets.ts'
import type { MemorySecrets } from './memory-secrets.ts'

/** The directories of tests: two authorities and the first one's staging twin. */
export const MAIN = 'https://main.test/directory'
export const OTHER = 'https://other.test/directory'
export const STAGING = 'https://staging.test/directory'

/** A world for engines: they come and go, it stays. */
export interface World {
  readonly clock: FakeClock
  readonly secrets: MemorySecrets
  readonly dns: MemoryDns
  readonly main: MemoryAuthority
  readonly other: MemoryAuthority
  readonly staging: MemoryAuthority
  readonly events: CertificateEvent[]
  /** The errors behind the events, one for each. */
  readonly causes: unknown[]
  /** What was taken into service, in order. */
  readonly used: CertificatePair[]
  use: (pair: CertificatePair) => Promise<void>
  /** Makes an engine; `dieAt` is the write at which its records die. */
  readonly engine: (
    changes?: Partial<AcmeConfiguration>,
    options?: { readonly dieAt?: number; readonly isBroken?: () => boolean; readonly hasStaging?: boolean },
  ) => Certificates
  /** What kinds of events there were. */
  readonly kinds: () => string[]
}

const issuer = await createTestIssuer()

/** Makes a world at a time of the authorities' clock. */
export function createWorld(start = Date.UTC(2026, 10, 25)): World {
  const clock = createFakeClock(start)
  const secrets = createMemorySecrets()
  const dns = createMemoryDns(() => clock.now())
  const [main, other, staging] = [MAIN, OTHER, STAGING].map((url) => {
    const lasting: TestIssuer = { issue: (csr, options) => clock.during(issuer.issue(csr, options)) }
    const authority = createMemoryAuthority(url, lasting, () => clock.now() + (authority.clockOffsetMs ?? 0))
    authority.hasRecord = (domain, value) => dns.records.has(`_acme-challenge.${domain} ${value}`)
    return authority
  }) as [MemoryAuthority, MemoryAuthority, MemoryAuthority]
  const authorities = new Map([main, other, staging].map((each) => [each.url, each]))
  const events: CertificateEvent[] = []
  const causes: unknown[] = []

  const world: World = {
    clock,
    secrets,
    dns,
    main,
    other,
    staging,
    events,
    causes,
    used: [],
    use: async (pair) => void world.used.push(pair),
    kinds: () => events.map(({ kind }) => kind),
    engine(changes = {}, { dieAt, isBroken, hasStaging = false } = {}) {
      const { directories } = { ...testConfiguration, ...changes }
      const withStaging = (each: (typeof directories)[number]) =>
        hasStaging && each.url === MAIN ? { ...each, staging: STAGING } : each
      return createCertificates({
        configuration: { ...testConfiguration, ...changes, directories: directories.map(withStaging) },
        secrets: secrets.live(dieAt, isBroken),
        challenger: mortal(dns.challenger, secrets, clock),
        createClient(directory, key) {
          const authority = authorities.get(directory)
          if (authority === undefined) throw new Error(`There is no ${directory}.`)
          return mortal(authority.client(key), secrets, clock)
        },
        createRequest: (names) => clock.during(createCertificateRequest(names)),
        clock,
        tell(event, cause) {
          events.push(event)
          causes.push(cause)
        },
      })
    },
  }
  return world
}

/** Begins as the server does, and returns what is stored. */
export async function beginWith(certificates: Certificates): Promise<CertificatePair | undefined> {
  let stored: CertificatePair | undefined
  await certificates.begin((pair) => void (stored = pair))
  return stored
}

/** What a killed process asks for is neither done nor answered. */
function mortal<Service extends object>(service: Service, life: MemorySecrets, clock: FakeClock): Service {
  return new Proxy(service, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name)
      if (typeof method !== 'function' || name === 'close') return method
      return (...values: unknown[]) => {
        clock.touch()
        return life.isDead() ? new Promise(() => undefined) : method.apply(target, values)
      }
    },
  })
}

/** What engines of tests are configured with. */
export const testConfiguration: AcmeConfiguration = {
  names: ['ai.example.com'],
  email: undefined,
  directories: [{ name: 'main', url: MAIN }],
  certificates: undefined,
  externalAccount: undefined,
  profiles: [],
  dns: {
    providers: ['rfc2136'],
    credentials: {},
    resolvers: [],
    apiUrl: undefined,
    policy: 'all',
    waitMs: 60_000,
    delayMs: 60_000,
  },
}
