import { SoakpError } from '../errors.ts'
import { checkAuthority } from './authority.ts'
import { checkCertificate } from './certificate.ts'
import { checkClock } from './clock.ts'
import { fault, faultOf, scrubbed, skipped } from './finding.ts'
import type { Finding, Result } from './finding.ts'
import { checkDataFolder, checkDisk, checkFileModes } from './folder.ts'
import { checkKeys } from './keys.ts'
import { checkPort } from './listener.ts'
import { checkOrigin } from './origin.ts'
import type { Patient } from './patient.ts'
import { checkConfiguration, checkNode } from './settings.ts'
import { askUpstreams, checkUpstreamCertificates, checkUpstreams } from './upstream.ts'
import { checkDatabase, checkSecret, checkServer, createVaultAccess } from './vault.ts'

/** Longer than any check should take; what hangs must not hold up the rest. */
const CHECK_MS = 15_000

/** A check by its name, with those that must have found no fault before it. */
type Check = readonly [name: string, needs: readonly string[], run: () => Result | Promise<Result>]

/** Makes every check, in an order in which each comes after what it needs, and tells of each as soon as it is made. */
export async function examine(patient: Patient, tell: (finding: Finding) => void): Promise<Finding[]> {
  const { reading } = patient
  const access = createVaultAccess(patient)
  const upstreams = once(async () => askUpstreams(settings(), await access.keys(), patient))

  /** The configuration, in checks that need it. */
  function settings() {
    if (reading.configuration === undefined) throw new Error('There is no configuration.')
    return reading.configuration
  }

  const checks: readonly Check[] = [
    ['node', [], () => checkNode(patient.nodeVersion)],
    ['configuration', [], () => checkConfiguration(reading)],
    ['data-folder', ['configuration'], () => checkDataFolder(settings())],
    ['file-modes', ['data-folder'], () => checkFileModes(settings())],
    ['disk', ['data-folder'], () => checkDisk(settings().dataDir)],
    ['server', ['data-folder'], () => checkServer(access)],
    ['port', ['configuration'], async () => checkPort(settings(), await access.serverIfAny(), patient)],
    ['certificate', ['configuration'], () => checkCertificate(access, settings(), patient.now())],
    ['secret', ['configuration'], () => checkSecret(access, reading)],
    ['database', ['secret'], () => checkDatabase(access)],
    ['upstream', ['configuration'], async () => checkUpstreams(await upstreams())],
    ['upstream-certificate', ['upstream'], async () => checkUpstreamCertificates(await upstreams())],
    ['clock', ['configuration'], async () => checkClock(await upstreams(), await access.newestRecord(), patient.now())],
    ['keys', ['database', 'upstream', 'upstream-certificate'], () => checkKeys(access, patient.networkMs)],
    ['local-authority', ['configuration'], () => checkAuthority(settings().tls, patient.authorityFile, patient.now())],
    ['origin', ['database'], () => checkOrigin(access, settings(), patient.origin)],
  ]

  const findings = new Map<string, Finding>()
  for (const [check, needs, run] of checks) {
    const missing = needs.filter((each) => ['fault', 'skipped'].includes(findings.get(each)?.status ?? 'skipped'))
    const result =
      missing.length === 0
        ? await runSafely(run)
        : skipped(`Not checked: first ${missing.join(' and ')} must be right.`)
    const finding = scrubbed({ check, ...result })
    findings.set(check, finding)
    tell(finding)
  }
  return [...findings.values()]
}

async function runSafely(run: Check[2]): Promise<Result> {
  const { promise: late, resolve } = Promise.withResolvers<Result>()
  const timer = setTimeout(() => {
    resolve(fault('This check did not come to an end.', 'Look whether a file system or the network hangs.'))
  }, CHECK_MS)
  try {
    return await Promise.race([late, run()])
  } catch (error) {
    if (error instanceof SoakpError) return faultOf(error)
    const message = error instanceof Error ? error.message : String(error)
    return fault(`This check failed: ${message}`, 'If the message does not help, please report it.')
  } finally {
    clearTimeout(timer)
  }
}

function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined
  return () => (made ??= make())
}
