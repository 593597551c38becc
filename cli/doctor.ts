import { join } from 'node:path'
import type { Command } from 'commander'
import { localAddress } from '../services/listening-address.ts'
import { LOCAL_AUTHORITY_FILE } from '../services/data-files.ts'
import { readConfiguration } from '../services/configuration.ts'
import { normaliseOrigin } from '../services/base-url.ts'
import type { Environment } from '../services/environment.ts'
import { SoakpError } from '../services/errors.ts'
import type { Finding } from '../services/doctor/finding.ts'
import { examine } from '../services/doctor/index.ts'
import type { Asking, Patient, Reading } from '../services/doctor/patient.ts'
import { withJson } from './answers.ts'
import type { OutputOptions } from './answers.ts'
import { endFindings, printFinding } from './findings.ts'
import { openCopy } from './folder.ts'
import { refusedPort } from './refused-port.ts'
import { openSocket } from './socket.ts'
import type { Transport } from './transport.ts'
import { usageError } from './usage.ts'

const NETWORK_MS = 5_000

/** Adds `soakp doctor`. */
export function addDoctorCommand(program: Command): void {
  withJson(program.command('doctor'))
    .description('look for what is wrong and say what to do about it; nothing is changed; exit code 1 for a fault')
    .option('--origin <origin>', 'also: may pages of this origin call? https://app.example.com')
    .action(diagnose)
}

async function diagnose({ origin, json }: OutputOptions & { readonly origin?: string }): Promise<void> {
  const findings = await examineEnvironment(process.env, {
    origin: origin === undefined ? undefined : checkedOrigin(origin),
    tell: json === undefined ? printFinding : undefined,
  })
  endFindings(findings, json === true)
}

/** What the doctor is to know besides the environment. */
export interface ExaminationOptions extends Partial<Pick<Patient, 'origin' | 'nodeVersion' | 'now' | 'networkMs'>> {
  readonly tell?: ((finding: Finding) => void) | undefined
}

/** Examines the SOAKP that an environment configures, whether it runs or not. Secrets are taken out of `environment`. */
export async function examineEnvironment(
  environment: Environment,
  { tell = () => undefined, ...options }: ExaminationOptions = {},
): Promise<Finding[]> {
  const opened: Transport[] = []
  const keep = (transport: Transport) => {
    opened.push(transport)
    return transport
  }
  try {
    return await examine({ ...createPatient(readSettings(environment, process.cwd()), keep), ...options }, tell)
  } finally {
    for (const each of opened) await each.close()
  }
}

function checkedOrigin(origin: string): string {
  try {
    return normaliseOrigin(origin, '--origin')
  } catch (error) {
    throw error instanceof SoakpError ? usageError(error.message) : error
  }
}

/** Reads the settings; where production refuses them, what they would be elsewhere, so that the rest can be checked. */
function readSettings(environment: Environment, workingDirectory: string): Reading {
  const withoutProduction = { ...environment, NODE_ENV: undefined }
  try {
    const { configuration, warnings } = readConfiguration(environment, workingDirectory)
    return { configuration, warnings, error: undefined }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    try {
      const { configuration } = readConfiguration(withoutProduction, workingDirectory)
      return { configuration, warnings: [], error }
    } catch {
      return { configuration: undefined, warnings: [], error }
    }
  }
}

function createPatient(reading: Reading, keep: (transport: Transport) => Transport): Patient {
  const { configuration } = reading
  const base = {
    nodeVersion: process.versions.node,
    reading,
    origin: undefined,
    now: Date.now,
    networkMs: NETWORK_MS,
    refusedPort,
  }
  // Nothing that needs a configuration is checked then.
  if (configuration === undefined) {
    return { ...base, localAddress: '', authorityFile: '', findServer: nowhere, openVault: nowhere }
  }
  const { dataDir, port } = configuration
  return {
    ...base,
    localAddress: localAddress(configuration, port),
    authorityFile: join(dataDir, LOCAL_AUTHORITY_FILE),
    async findServer() {
      const transport = await openSocket(dataDir)
      return transport && { address: transport.address, ...asking(keep(transport)) }
    },
    openVault: async () => asking(keep(await openCopy(configuration))),
  }
}

async function nowhere(): Promise<never> {
  throw new SoakpError(500, 'SOAKP_NO_VAULT', 'There is no configuration that says where the vault is.')
}

function asking(transport: Transport): Asking {
  return {
    async ask(method, path, headers) {
      const { status, text } = await transport.send(method, path, undefined, headers)
      return { status, value: text === '' ? undefined : (JSON.parse(text) as unknown) }
    },
  }
}
