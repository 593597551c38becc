import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { needs, run, startServer } from '../support/process.ts'
import { temporaryFolder } from '../support/soakp.ts'

interface Finding {
  readonly id: string
  readonly severity: string
  readonly finding: string
}

/** Neither good nor bad; WARN is about the scan, and what it could not try is below. */
const FINE = new Set(['OK', 'INFO', 'LOW', 'WARN'])

/** What is found although nothing is wrong, and why. */
const expected: Readonly<Record<string, string>> = {
  cert_revocation: 'a local authority publishes no list of revoked certificates: they are replaced with the authority',
}

/** Of each kind something that must have been looked at: a scan that breaks off finds nothing either. */
const LOOKED_AT = [
  'SSLv2',
  'TLS1',
  'TLS1_2',
  'TLS1_3',
  'cipherlist_NULL',
  'cipherlist_3DES_IDEA',
  'cert_chain_of_trust',
  'heartbleed',
  'ticketbleed',
  'ROBOT',
  'secure_client_renego',
  'CRIME_TLS',
  'BREACH',
  'POODLE_SSL',
  'SWEET32',
  'FREAK',
  'LOGJAM',
  'BEAST',
  'LUCKY13',
  'RC4',
]

test('testssl.sh finds nothing of medium severity or above', { skip: needs('testssl') }, async (t) => {
  const server = await startServer(t)
  const report = join(await temporaryFolder(t), 'report.json')
  const authority = join(server.dataDir, 'local-authority.pem')
  const options = ['--quiet', '--color', '0', '--warnings', 'batch', '--ip', 'one', '--add-ca', authority]
  const scan = run(t, 'testssl', [...options, '--jsonfile', report, `https://localhost:${server.port}`])
  const { stdout } = await scan.ended
  const findings = JSON.parse(await readFile(report, 'utf8')) as Finding[]
  t.strictSame(
    findings.filter(({ id, severity }) => !FINE.has(severity) && !(id in expected)),
    [],
    'nothing',
    { stdout },
  )
  const ids = new Set(findings.map(({ id }) => id))
  t.strictSame(
    LOOKED_AT.filter((id) => !ids.has(id)),
    [],
    'all was looked at',
  )
  t.strictSame(
    Object.keys(expected).filter((id) => !ids.has(id)),
    [],
    'what is no longer found need not be expected',
  )
})
