import { existsSync, readFileSync } from 'node:fs'
import { chmod, chown, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { certificateText } from '../cli/certificate-text.ts'
import { refusedPort, takenPort } from '../cli/refused-port.ts'
import type { CertificateStatus, ShownCertificate } from '../services/certificates/index.ts'
import { clientAddress, localAddress } from '../services/listening-address.ts'
import { readConfiguration } from '../services/configuration.ts'
import { createStandIn } from './support/certificates-stand-in.ts'
import { needs, run } from './support/process.ts'
import { temporaryFolder } from './support/soakp.ts'

const NOBODY = 65_534
const FIRST_FREE_PORT = '/proc/sys/net/ipv4/ip_unprivileged_port_start'

function needsRefusal(): string | false {
  const isRefused = existsSync(FIRST_FREE_PORT) && Number(readFileSync(FIRST_FREE_PORT, 'utf8')) > 443
  return isRefused ? needs('setpriv') : 'needs a system on which port 443 needs a right'
}

test('a start on port 443 without the right says in one line how to get it', { skip: needsRefusal() }, async (t) => {
  const folder = await temporaryFolder(t)
  const SOAKP_DATA_DIR = join(folder, 'data')
  await mkdir(SOAKP_DATA_DIR, { mode: 0o700 })
  const isRoot = process.getuid?.() === 0
  if (isRoot) {
    await chmod(folder, 0o755)
    await chown(SOAKP_DATA_DIR, NOBODY, NOBODY)
  }
  const asNobody = isRoot ? [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'] : []
  const args = [...asNobody, '--bounding-set=-all', process.execPath, 'bin/soakp.js', 'serve'].slice(isRoot ? 0 : 1)
  const environment = { SOAKP_DATA_DIR, SOAKP_TLS: 'off', SOAKP_PORT: '443', SOAKP_LOG_LEVEL: 'error' }
  const { code, stderr } = await run(t, isRoot ? 'setpriv' : 'env', args, { environment }).ended
  t.equal(code, 1)
  t.equal(stderr.trim().split('\n').length, 1, stderr)
  t.match(stderr, /^soakp: Port 443 on 127\.0\.0\.1 may not be used by this user\. Allow it by `sudo setcap /)
  t.match(stderr, `cap_net_bind_service=+ep ${process.execPath}`, 'of the very program that was refused')
  t.match(stderr, /AmbientCapabilities=CAP_NET_BIND_SERVICE .* --sysctl net\.ipv4\.ip_unprivileged_port_start=0 /)
  t.match(stderr, /or set SOAKP_PORT to 1024 or more and forward 443 to it\.\n$/)
})

test('a port that is taken or refused is explained as its kind wants it', (t) => {
  t.match(takenPort({ port: 443, address: '::' }), /^Port 443 on :: is in use .*another port and forward 443 to it\.$/)
  t.match(takenPort({ port: 3033, address: '127.0.0.1' }), /or set SOAKP_PORT to another port\.$/)
  t.match(takenPort({}), /^The address is in use by another program\. /)
  t.match(refusedPort({ port: 80, address: '::' }), /or set SOAKP_PORT to 1024 or more\.$/)
  t.equal(
    refusedPort({ port: 3033, address: '::' }),
    'Port 3033 on :: may not be used by this user. Set SOAKP_PORT to another port.',
  )
  t.end()
})

test('with a domain clients are sent there, and programs of this machine are not', (t) => {
  const DOMAIN = { SOAKP_DNS: 'exec', SOAKP_ROOT_KEY_FILE: 'root.key' }
  const of = (domain: string) => readConfiguration({ ...DOMAIN, SOAKP_DOMAIN: domain }, '/srv/soakp').configuration
  const one = of('*.ai.example.com,ai.example.com')
  t.equal(clientAddress(one, 443), 'https://ai.example.com')
  t.equal(clientAddress(one, 8443), 'https://ai.example.com:8443')
  t.equal(localAddress(one, 443), 'https://localhost:443')
  t.equal(clientAddress(of('*.example.com'), 443), 'https://localhost:443', 'a wildcard is no address')
  t.equal(clientAddress({ ...one, tls: { mode: 'off' } }, 3033), 'http://localhost:3033')
  t.end()
})

test('the banner says how the certificate stands', async (t) => {
  const certificate: ShownCertificate = {
    serial: '01',
    fingerprint: 'ab',
    issuer: 'Test\u001B[2J CA',
    names: ['ai.example.com', '*.example.com'],
    not_before: 0,
    not_after: 1_800_000_000,
    directory: 'https://ca.example.com/directory',
    profile: null,
    revoked_at: null,
  }
  const standIn = createStandIn(async () => undefined)
  const say = (status: Partial<CertificateStatus>) => {
    standIn.tell(status)
    return certificateText(standIn)
  }
  t.match(
    await say({ names: ['a.example.com'] }),
    /^being fetched for a\.example\.com \(`soakp acme status` shows how far/,
  )
  const valid = await say({ state: 'valid', certificate })
  t.match(valid, /^for ai\.example\.com, \*\.example\.com, of Test\\u\{1b\}\[2J CA, until 2027-01-1\dT/)
  t.match(await say({ state: 'due' }), /^for ai\.example\.com/)
  t.match(await say({ state: 'expired' }), /^expired at 2027-01-1\dT.*, being renewed/)
  t.match(await say({ state: 'revoked' }), /^revoked, being replaced/)
  const broken = { status: () => Promise.reject(new Error('broken')) }
  t.equal(await certificateText(broken), undefined, 'what cannot be told does not hinder the start')
})
