import { test } from 'tap'
import type { Test } from 'tap'
import { createServer } from '../fastify.config.ts'
import { readConfiguration } from '../services/configuration.ts'
import type { Environment } from '../services/environment.ts'
import { startWorld, worldIsMissing } from './support/acme-world.ts'
import { temporaryFolder } from './support/soakp.ts'

/** Checks an environment without serving or getting anything, and returns what was found as lines. */
async function check(t: Test, environment: Environment): Promise<string[]> {
  const dataDir = await temporaryFolder(t)
  const { configuration } = readConfiguration({ SOAKP_DATA_DIR: dataDir, ...environment }, dataDir)
  const app = await createServer({ configuration: { ...configuration, logLevel: 'silent', tls: { mode: 'off' } } })
  t.teardown(() => app.close())
  const [findings, again] = await Promise.all([app.checkCertificates?.(), app.checkCertificates?.()])
  t.equal(findings, again, 'who asks meanwhile gets the same answer')
  t.same(
    (await app.unsealed.secrets.find('dns-journal-check')) ?? { entries: [] },
    { entries: [] },
    'nothing is left behind',
  )
  return (findings ?? []).map(
    ({ check: name, status, message, remedy }) => `${status} ${name}: ${message} ${remedy ?? ''}`,
  )
}

test(
  'faults of real name servers and zones are found before an authority is asked',
  { skip: worldIsMissing },
  async (t) => {
    const records = [
      'caa CAA 0 issue "other.example"',
      '_acme-challenge.alias CNAME proved',
      '_acme-challenge.circle CNAME _acme-challenge.circle',
    ]
    const world = await startWorld(t, { records: `${records.join('\n')}\n` })
    const zoneBefore = await world.primary.records('soakp.test')
    const secret = Buffer.from('another secret than the server has').toString('base64')
    const [found, unsigned, unreachable] = await Promise.all([
      check(t, {
        ...world.environment,
        SOAKP_DOMAIN: 'caa.soakp.test,alias.soakp.test,circle.soakp.test,ai.elsewhere.test',
        SOAKP_ACME_PROFILE: 'no-such-profile',
      }),
      check(t, { ...world.environment, RFC2136_TSIG_SECRET: secret }),
      check(t, {
        ...world.environment,
        SOAKP_ACME_DIRECTORY: 'https://127.0.0.1:9/dir',
        SOAKP_DNS_RESOLVERS: '127.0.0.1:9',
      }),
    ])
    const has = (lines: readonly string[], pattern: RegExp) =>
      t.ok(
        lines.some((line) => pattern.test(line)),
        `${pattern}`,
        { lines },
      )
    has(found, /^(?:fault|warning) caa: The CAA records of caa\.soakp\.test let in other\.example only/)
    has(found, /^ok alias: _acme-challenge\.alias\.soakp\.test leads to proved\.soakp\.test/)
    has(found, /^fault zone: .*circle\.soakp\.test.*circle/)
    has(found, /^fault zone: .*ai\.elsewhere\.test/)
    // Debian's Pebble is of 2022 and knows no profiles.
    const offered = world.pebble.version === 'current' ? 'default' : 'none at all'
    has(found, new RegExp(`^warning profile: .*no profile no-such-profile, only ${offered}`))
    has(found, /^ok name-servers: All name servers of soakp\.test answer, /)
    has(found, /^ok record: .*all name servers had it/)
    has(unsigned, /^fault zone: .*its secret is another one.*RFC2136_TSIG_SECRET/)
    has(unreachable, /^fault directory: .*127\.0\.0\.1:9/)
    t.same(await world.primary.records('soakp.test'), zoneBefore)
  },
)

test('without credentials nothing is asked that needs them, and each fault is told once', async (t) => {
  const lines = await check(t, {
    SOAKP_DOMAIN: 'ai.example.com',
    SOAKP_ACME_DIRECTORY: 'http://127.0.0.1:9/directory',
    SOAKP_DNS: 'cloudflare',
    SOAKP_DNS_RESOLVERS: '127.0.0.1:9',
  })
  t.match(
    lines.filter((line) => !line.startsWith('ok ')),
    [
      /^fault directory: /,
      /^fault credentials: .*CF_DNS_API_TOKEN/,
      /^skipped zone: Not checked: first credentials must be right\./,
      /^skipped caa: /,
      /^skipped record: /,
    ],
  )
})
