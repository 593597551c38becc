import { test } from 'tap'
import { SoakpError } from '../../services/errors.ts'
import { STATUS, event, pretendDomain } from '../support/pretended-domain.ts'
import { PLAIN, bearer, isRefused } from '../support/refusals.ts'
import { ADMIN, startSoakp } from '../support/soakp.ts'

const CREDENTIAL = 'cf-canary-4c9f1e07a2b84d6f'

test('the certificate is shown with its renewal and a timeline', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const domain = pretendDomain(soakp.app)
  const { status, body } = await soakp.manage('GET', '/soakp/certificates')
  t.equal(status, 200)
  t.strictSame(body, { object: 'certificate_status', ...structuredClone(STATUS) })

  domain.status = {
    ...STATUS,
    serving: 'local',
    state: 'missing',
    certificate: null,
    next_renewal: null,
    running: { attempt: 'att_2', phase: 'waiting for name servers', since: 1_890_000_050 },
    holds: [{ directory: 'https://ca.example.com/dir', until: 1_890_003_600, reason: 'Too many orders.' }],
    last_error: { at: 1_890_000_040, code: 'SOAKP_ACME_DNS', problem: 'dns', message: 'No record was found.' },
    timeline: [event(1_890_000_040, 'attempt-failed', 'It failed.', { code: 'SOAKP_ACME_DNS', problem: 'dns' })],
  }
  const failed = await soakp.manage('GET', '/soakp/certificates')
  t.strictSame(failed.body, { object: 'certificate_status', ...structuredClone(domain.status) })
})

const REASONS = ['unspecified', 'key_compromise', 'affiliation_changed', 'superseded', 'cessation_of_operation']

test('it is renewed, revoked and checked, and the accounts get new keys', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const finding = { check: 'zone', status: 'fault', message: 'There is none.', remedy: 'Make it.' } as const
  const domain = pretendDomain(soakp.app, [finding])
  for (const action of ['renew', 'account-key']) {
    t.match(await soakp.manage('POST', `/soakp/certificates/${action}`), { status: 200, body: { state: 'valid' } })
  }
  for (const reason of REASONS) {
    t.match(await soakp.manage('POST', '/soakp/certificates/revoke', { reason }), { status: 200 })
  }
  t.strictSame((await soakp.manage('POST', '/soakp/certificates/check')).body, {
    object: 'list',
    data: [finding],
    has_more: false,
  })
  t.strictSame(domain.calls, [['renew'], ['account-key'], ...REASONS.map((reason) => ['revoke', reason]), ['check']])
  for (const body of [undefined, {}, { reason: 'ca_compromise' }, { reason: 1 }, { reason: 'superseded', more: 1 }]) {
    t.match(await soakp.manage('POST', '/soakp/certificates/revoke', body), { status: 400 })
  }
  t.equal(domain.calls.length, 8, 'nothing is revoked without a reason that there is')
})

test('what renewing fails of is answered in words', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const domain = pretendDomain(soakp.app)
  domain.error = new SoakpError(502, 'SOAKP_ACME_RATE_LIMITED', 'Too many certificates for this name: wait an hour.')
  t.match(await soakp.manage('POST', '/soakp/certificates/renew'), {
    status: 502,
    body: { error: { code: 'SOAKP_ACME_RATE_LIMITED', message: /^Too many .* hour\.$/ } },
  })
})

test('without a domain the routes say what to set', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const calls = [
    soakp.manage('GET', '/soakp/certificates'),
    soakp.manage('POST', '/soakp/certificates/renew'),
    soakp.manage('POST', '/soakp/certificates/revoke', { reason: 'superseded' }),
    soakp.manage('POST', '/soakp/certificates/account-key'),
    soakp.manage('POST', '/soakp/certificates/check'),
  ]
  for (const answer of await Promise.all(calls)) {
    isRefused(t, answer, { status: 404, code: 'SOAKP_NO_DOMAIN' })
    t.match(answer.body.error.message, /SOAKP_DOMAIN and SOAKP_DNS/)
  }
  const metrics = await soakp.manage('GET', '/soakp/metrics')
  t.match(metrics, { status: 200, body: /^\s*$/ })
})

test('only the admin may see and do any of it, and no foreign page', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const domain = pretendDomain(soakp.app)
  const { token } = await soakp.saveKey()
  const routes = [
    ['GET', '/soakp/certificates'],
    ['POST', '/soakp/certificates/renew'],
    ['POST', '/soakp/certificates/revoke'],
    ['POST', '/soakp/certificates/account-key'],
    ['POST', '/soakp/certificates/check'],
    ['GET', '/soakp/dns/providers'],
    ['PUT', '/soakp/dns/credentials/CF_DNS_API_TOKEN'],
    ['DELETE', '/soakp/dns/credentials/CF_DNS_API_TOKEN'],
    ['GET', '/soakp/metrics'],
  ] as const
  for (const [method, path] of routes) {
    for (const headers of [{}, bearer('wrong'), bearer(token)]) {
      t.equal((await soakp.call(method, path, { headers })).status, 401, `${method} ${path}`)
    }
    const headers = { ...bearer(ADMIN), origin: 'https://evil.example.com' }
    t.equal((await soakp.call(method, path, { headers })).status, 403, `${method} ${path} from a page`)
  }
  t.strictSame(domain.calls, [])
})

test('figures are in the text format of Prometheus', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const domain = pretendDomain(soakp.app)
  const { headers, body } = await soakp.manage('GET', '/soakp/metrics')
  t.equal(headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  const lines = String(body).split('\n')
  for (const line of [
    'soakp_certificate_not_after_seconds 1897776000',
    'soakp_certificate_next_renewal_seconds 1895184000',
    'soakp_certificate_attempts_total{result="succeeded"} 3',
    'soakp_certificate_attempts_total{result="failed"} 1',
    'soakp_certificate_phase_seconds{phase="propagation"} 12.5',
    'soakp_dns_server_lag_seconds{server="ns1.example.com",address="192.0.2.53"} 1.5',
    'soakp_acme_problems_total{type="rateLimited"} 1',
  ]) {
    t.ok(lines.includes(line), line)
  }
  t.same((await soakp.manage('GET', '/soakp/metrics')).body, body, 'counters do not grow by being read')
  domain.status = { ...STATUS, certificate: null, next_renewal: null }
  const without = await soakp.manage('GET', '/soakp/metrics')
  t.notMatch(without.body, /not_after|next_renewal/, 'what is not known has no line, rather than 0')
})

test('providers are listed with what each reads and where it is set; a stored value never comes out', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'debug' }, { logs })
  const placeOf = async (name: string) => {
    const { body } = await soakp.manage('GET', '/soakp/dns/providers')
    t.notMatch(JSON.stringify(body), CREDENTIAL)
    return body.data.flatMap((each: Listed) => each.variables).find((each: Listed) => each.name === name)?.set_in
  }
  const { body } = await soakp.manage('GET', '/soakp/dns/providers')
  t.match(body.data[0], {
    object: 'dns.provider',
    name: 'rfc2136',
    title: /RFC 2136/,
    variables: [{ name: 'RFC2136_NAMESERVER', meaning: /\w/, secret: false, storable: false, set_in: 'nowhere' }],
  })
  t.equal(await placeOf('CF_DNS_API_TOKEN'), 'nowhere')
  const path = '/soakp/dns/credentials/CF_DNS_API_TOKEN'
  const stored = await soakp.manage('PUT', path, { value: CREDENTIAL })
  t.strictSame(stored.body, { object: 'dns.credential', name: 'CF_DNS_API_TOKEN', set_in: 'vault' })
  t.equal(await placeOf('CF_DNS_API_TOKEN'), 'vault')
  t.match(await soakp.app.unsealed.secrets.find('dns-credentials'), { CF_DNS_API_TOKEN: CREDENTIAL })

  t.match(await soakp.manage('DELETE', path), { status: 200, body: { set_in: 'nowhere' } })
  isRefused(t, await soakp.manage('DELETE', path), { status: 404, code: 'SOAKP_DNS_VARIABLE_NOT_STORED' })
  for (const name of ['CF_DNS_API', 'PATH', 'constructor', 'hasOwnProperty']) {
    const refused = await soakp.manage('PUT', `/soakp/dns/credentials/${name}`, { value: CREDENTIAL })
    isRefused(t, refused, { status: 404, code: 'SOAKP_DNS_VARIABLE_UNKNOWN' })
  }
  for (const name of [
    'EXEC_PATH',
    'RFC2136_TSIG_FILE',
    'HTTPREQ_ENDPOINT',
    'RFC2136_NAMESERVER',
    'RFC2136_PORT',
    'DNSUPDATE_NAMESERVER',
  ]) {
    const refused = await soakp.manage('PUT', `/soakp/dns/credentials/${name}`, { value: '/bin/sh' })
    isRefused(
      t,
      refused,
      { status: 400, code: 'SOAKP_DNS_VARIABLE_ENVIRONMENT' },
      `${name} is the operator's to choose`,
    )
  }
  for (const value of ['', ' \n', 'x'.repeat(16_385), undefined, 5]) {
    t.match(await soakp.manage('PUT', path, { value }), { status: 400 })
  }
  t.match(await soakp.manage('PUT', `${path}${CREDENTIAL}`, { value: 'x' }), { status: 400 })
  t.ok(logs.some((line) => line.includes('DNS credential stored')))
  t.notMatch(logs.join(''), CREDENTIAL)
})

test('changes that come at the same time are all kept, and survive a restart', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const values = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret', CF_DNS_API_TOKEN: 'token' }
  await Promise.all(
    Object.entries(values).map(([name, value]) => soakp.manage('PUT', `/soakp/dns/credentials/${name}`, { value })),
  )
  await soakp.app.close()
  const again = await startSoakp(t, { ...PLAIN, SOAKP_DATA_DIR: soakp.dataDir })
  t.same(await again.app.unsealed.secrets.find('dns-credentials'), values)
})

interface Listed {
  readonly name: string
  readonly variables: readonly Listed[]
}
