import { Option } from 'commander'
import type { Command } from 'commander'
import type { CertificateStatus } from '../services/certificates/index.ts'
import { revocationReasons } from '../services/certificates/revocation-reasons.ts'
import type { Finding } from '../services/doctor/finding.ts'
import { show, withJson } from './answers.ts'
import type { List, OutputOptions } from './answers.ts'
import { eventLine, statusLines } from './certificate-status.ts'
import { confirm } from './confirm.ts'
import { withConnection } from './connection.ts'
import type { Connection } from './connection.ts'
import { endFindings, printFinding } from './findings.ts'
import { readWhole } from './option-values.ts'
import { plainText } from './output.ts'

interface RevokeOptions extends OutputOptions {
  readonly reason: string
  readonly yes?: true
}

const PATH = '/soakp/certificates'

const REASONS = Object.keys(revocationReasons).map((each) => each.replaceAll('_', '-'))

/** How often it is looked what a long call has done so far. */
const LOOK_MS = 1_000

/** Adds `soakp acme ...`. */
export function addAcmeCommands(program: Command): void {
  const acme = program.command('acme').description('look after the certificate of SOAKP_DOMAIN')

  withJson(acme.command('check'))
    .description('say what would go wrong before an authority is asked; writes a DNS record and removes it')
    .action(check)
  withJson(acme.command('status'))
    .description('show the certificate, when it is renewed and why then, and what has happened')
    .option('--events <number>', 'at most so many of the last events (default: 20)', readWhole, 20)
    .action(status)
  withJson(acme.command('renew'))
    .description('get a new certificate now, without a running SOAKP for its next start; may take some minutes')
    .action((output: OutputOptions) => act('renew', 'The certificate is renewed.', output))
  withJson(acme.command('revoke'))
    .description('revoke the certificate and get another with a new key')
    .addOption(new Option('--reason <reason>', 'why').choices(REASONS).default('unspecified'))
    .option('-y, --yes', 'do not ask')
    .action(revoke)
  withJson(acme.command('account-key'))
    .description("give the authorities' accounts new keys")
    .action((output: OutputOptions) => act('account-key', 'The accounts have new keys.', output))
}

async function check({ json }: OutputOptions): Promise<void> {
  await withConnection(
    async (soakp) => {
      process.stderr.write('Looking, which may take a minute …\n')
      const { data } = (await soakp.call<List<Finding>>('POST', `${PATH}/check`)).value
      if (json === undefined) for (const finding of data) printFinding(finding)
      endFindings(data, json === true)
    },
    { mayMake: true },
  )
}

async function status({ events, ...output }: OutputOptions & { readonly events: number }): Promise<void> {
  await withConnection(async (soakp) => {
    show(await soakp.call<CertificateStatus>('GET', PATH), output, (value) => statusLines(value, events, Date.now()))
  })
}

async function revoke({ reason, yes, ...output }: RevokeOptions): Promise<void> {
  await withConnection(async (soakp) => {
    const { certificate, names } = (await soakp.call<CertificateStatus>('GET', PATH)).value
    const whose = (certificate?.names ?? names).join(', ')
    await confirm(`Revoke the certificate for ${plainText(whose)} and get another with a new key?`, yes)
    const body = { reason: reason.replaceAll('-', '_') }
    await long(soakp, 'revoke', body, 'The certificate is revoked, and another is in its place.', output)
  })
}

async function act(action: string, done: string, output: OutputOptions): Promise<void> {
  await withConnection((soakp) => long(soakp, action, undefined, done, output), { mayMake: action === 'renew' })
}

/** Makes a call that may take minutes and tells meanwhile what happens. */
async function long(
  soakp: Connection,
  action: string,
  body: object | undefined,
  done: string,
  output: OutputOptions,
): Promise<void> {
  const known = new Set((await soakp.call<CertificateStatus>('GET', PATH)).value.timeline.map(keyOf))
  process.stderr.write('This may take some minutes …\n')

  async function tell(): Promise<void> {
    const { timeline } = (await soakp.call<CertificateStatus>('GET', PATH)).value
    for (const event of timeline.toReversed().filter((each) => !known.has(keyOf(each)))) {
      known.add(keyOf(event))
      if (output.json === undefined) process.stderr.write(`${plainText(eventLine(event))}\n`)
    }
  }

  // What is told meanwhile must not end what it tells of.
  const timer = setInterval(() => void tell().catch(() => undefined), LOOK_MS)
  try {
    const answer = await soakp.call<CertificateStatus>('POST', `${PATH}/${action}`, body)
    clearInterval(timer)
    await tell()
    show(answer, output, (value) => [done, ...statusLines(value, 0, Date.now())])
  } finally {
    clearInterval(timer)
  }
}

function keyOf({ at, attempt, kind, message }: CertificateStatus['timeline'][number]): string {
  return `${at} ${attempt} ${kind} ${message}`
}
