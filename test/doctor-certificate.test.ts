import { test } from 'tap'
import type { CertificateStatus } from '../services/certificates/index.ts'
import { statusResult } from '../services/doctor/certificate.ts'
import { examine, isFault, stoppedSoakp } from './support/doctor.ts'
import { STATUS, pretendDomain } from './support/pretended-domain.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'

const DOMAIN = { SOAKP_DOMAIN: 'ai.example.com,*.ai.example.com', SOAKP_DNS: 'exec', EXEC_PATH: '/bin/false' }
const DAY_MS = 86_400_000
const END_MS = (STATUS.certificate?.not_after ?? 0) * 1_000
const ERROR = {
  at: 1_890_000_000,
  code: 'SOAKP_DNS_ZONE',
  problem: null,
  message: 'No account of exec holds a zone of ai.example.com. Name the provider that holds it in SOAKP_DNS.',
}

/** What is found of a status, 60 days before the certificate's end and with a running server unless said otherwise. */
function found(changes: Partial<CertificateStatus>, { isRunning = true, now = END_MS - 60 * DAY_MS } = {}) {
  return { check: 'certificate', ...statusResult({ ...STATUS, ...changes }, STATUS.names, isRunning, now) }
}

test('a certificate that is good is, and one whose renewal fails is a warning, soon a fault', async (t) => {
  t.match(found({}), {
    status: 'ok',
    message: /^The certificate for ai\.example\.com, .* is good until 2030-/,
    remedy: null,
  })
  const failing = { last_error: ERROR }
  t.match(found(failing), {
    status: 'warning',
    message: /is good until .* The last attempt failed: No account of exec holds a zone of ai\.example\.com\.$/,
    remedy: 'Name the provider that holds it in SOAKP_DNS.',
  })
  isFault(
    t,
    found(failing, { now: END_MS - 14 * DAY_MS }),
    /ends at .* not renewed yet.*No account/,
    /Name the provider/,
  )
  t.match(found({}, { now: END_MS - 16 * DAY_MS }), { status: 'ok' })
  isFault(
    t,
    found({}, { now: END_MS - 14 * DAY_MS, isRunning: false }),
    /No SOAKP runs that would get one/,
    /acme check/,
  )
})

test('one that is expired, revoked, for other names or not served is a fault', async (t) => {
  isFault(t, found({ state: 'expired' }, { now: END_MS }), /expired at 2030-/, /acme check/)
  isFault(t, found({ state: 'revoked' }), /is revoked/, /acme check/)
  const certificate = STATUS.certificate && { ...STATUS.certificate, names: ['*.example.com', '*.ai.example.com'] }
  t.match(found({ certificate }), { status: 'ok' }, 'the wildcard covers it')
  const one = STATUS.certificate && { ...STATUS.certificate, names: ['ai.example.com'] }
  isFault(
    t,
    found({ certificate: one, last_error: ERROR }),
    /is not for \*\.ai\.example\.com, which is set now/,
    /Name the/,
  )
  isFault(t, found({ serving: 'local' }), /the local authority's is served/, /./)
})

test('none yet is a fault when it cannot be had, a warning while it is being got, and fine before the start', async (t) => {
  const none = { state: 'missing', serving: 'local', certificate: null } as const
  const running = { attempt: 'att_1', phase: 'waiting for name servers', since: 1 }
  isFault(
    t,
    found({ ...none, last_error: ERROR }),
    /no certificate for .* yet\. The local authority's is served/,
    /Name/,
  )
  t.match(found({ ...none, running }), { status: 'warning', message: /is getting it \(waiting for name servers\)/ })
  t.match(found(none, { isRunning: false }), { status: 'ok', message: /The next start gets it/ })
  const holds = [{ directory: 'https://ca.example.com/dir', until: 1_890_003_600, reason: 'Too many orders.' }]
  const held = found({ ...none, last_error: ERROR, holds })
  isFault(t, held, /SOAKP waits until 2029-11-22T\S+: Too many orders\./, /Name/)
  const again = holds.map((hold) => ({ ...hold, reason: ERROR.message }))
  const told = found({ ...none, last_error: ERROR, holds: again })
  isFault(t, told, /example\.com\. SOAKP waits until [^ ]+Z\.$/, /Name/)
})

test('the doctor sees the certificate of a running server, of a stopped one, and what the environment changed', async (t) => {
  const stopped = await stoppedSoakp(t)
  const examined = await examine({ ...stopped.environment, ...DOMAIN })
  t.match(examined['certificate'], { status: 'ok', message: /^There is no certificate for ai\.example\.com/ })
  t.match(examined['local-authority'], { status: 'ok', message: 'It is not used.' })
  const fresh = { SOAKP_DATA_DIR: await temporaryFolder(t), ...DOMAIN }
  t.match((await examine(fresh))['certificate'], { status: 'ok', message: /first start gets it/ })

  const server = await startSoakp(t)
  const environment = { SOAKP_DATA_DIR: server.dataDir, ...DOMAIN }
  t.match((await examine(environment))['certificate'], { status: 'warning', message: /without the domain/ })
  const domain = pretendDomain(server.app)
  domain.status = { ...STATUS, last_error: ERROR, serving: 'local', state: 'missing', certificate: null }
  isFault(t, (await examine(environment))['certificate'], /The last attempt failed: No account/, /Name the provider/)
  const renamed = { ...environment, SOAKP_DOMAIN: 'other.example.com' }
  t.match((await examine(renamed))['certificate'], {
    status: 'warning',
    message: /other\.example\.com now/,
    remedy: /Start/,
  })
  t.strictSame(domain.calls, [], 'nothing is changed')
})

test('a domain that cannot be is a fault of the configuration, with its remedy', async (t) => {
  const { configuration } = await examine({
    SOAKP_DATA_DIR: await temporaryFolder(t),
    SOAKP_DOMAIN: '192.0.2.1',
    SOAKP_DNS: 'exec',
  })
  isFault(t, configuration, /the address "192\.0\.2\.1".*proves names only/, /Give it a name/)
})
