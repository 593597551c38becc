import type { ChallengeCheck } from '../challenge/check.ts'
import type { RelevantCaa } from '../challenge/caa.ts'
import { fault, faultOf, ok, skipped, warning } from '../doctor/finding.ts'
import type { Result } from '../doctor/finding.ts'
import { SoakpError } from '../errors.ts'
import type { AskedAuthority } from './authorities.ts'
import { judgeCaa } from './caa.ts'
import type { CaaVerdict } from './caa.ts'
import { inGroups } from './groups.ts'

/** What the check of CAA records needs. */
export interface PermissionOptions {
  readonly names: readonly string[]
  readonly asked: readonly AskedAuthority[]
  readonly check: Pick<ChallengeCheck, 'caaOf'>
  /** The URL of our account at a directory. */
  readonly accountOf: (directoryUrl: string) => Promise<string | undefined>
}

/** An authority that answers, and our account there. */
interface Authority {
  readonly name: string
  readonly identities: readonly string[]
  readonly account: string | undefined
}

/** Checks that the CAA records of each name let an authority in. */
export async function checkPermissions(options: PermissionOptions, signal: AbortSignal): Promise<Result[]> {
  const { names, asked, accountOf } = options
  const answering = asked.flatMap(({ name, directory }) => (directory === undefined ? [] : [{ name, directory }]))
  if (answering.length === 0) return [skipped('Not checked: no authority answers.')]
  const authorities = await Promise.all(
    answering.map(async ({ name, directory: { url, caaIdentities } }) => ({
      name,
      identities: caaIdentities,
      account: await accountOf(url),
    })),
  )
  const results = await inGroups(names, async (name) => checkName(name, authorities, options, signal))
  const others = results.flatMap((result) => result ?? [])
  if (others.length > 0) return others
  return [
    ok(`Nothing keeps ${authorities.map(({ name }) => name).join(', ')} from giving certificates for these names.`),
  ]
}

/** Undefined where every authority may issue. */
async function checkName(
  name: string,
  authorities: readonly Authority[],
  { check }: PermissionOptions,
  signal: AbortSignal,
): Promise<Result | undefined> {
  const isWildcard = name.startsWith('*.')
  let caa: RelevantCaa | undefined
  try {
    caa = await check.caaOf(isWildcard ? name.slice(2) : name, signal)
  } catch (error) {
    if (signal.aborted || !(error instanceof SoakpError)) throw error
    if (error.code === 'SOAKP_DNS_UNREACHABLE') return skipped(`Not checked for ${name}: ${error.message}`)
    const { message, remedy } = faultOf(
      error,
      'Correct the name servers: authorities refuse names whose CAA cannot be read.',
    )
    return fault(`The CAA records of ${name} cannot be read. ${message}`, remedy ?? '')
  }
  if (caa === undefined) return undefined
  const { records, name: holder } = caa
  const verdicts = authorities.map((each) => ({ ...each, verdict: judgeCaa(records, isWildcard, each) }))
  return resultOf(name, holder, verdicts, isWildcard)
}

function resultOf(
  name: string,
  holder: string,
  verdicts: readonly (Authority & { readonly verdict: CaaVerdict })[],
  isWildcard: boolean,
): Result | undefined {
  const hindered = verdicts.find(({ verdict }) => verdict.kind !== 'allowed')
  if (hindered === undefined || hindered.verdict.kind === 'allowed') return undefined
  const whose = holder === name ? holder : `${holder}, which hold for ${name},`
  const message = `The CAA records of ${whose} ${hindered.verdict.reason}.`
  const [identity] = hindered.identities
  const tag = isWildcard ? 'issuewild' : 'issue'
  const remedy =
    identity === undefined
      ? `Look whether they let ${hindered.name} in.`
      : `Add \`${holder}. CAA 0 ${tag} "${identity}"\`, or choose another authority in SOAKP_ACME_DIRECTORY.`
  const isForbidden = verdicts.every(({ verdict }) => verdict.kind === 'refused')
  return isForbidden ? fault(message, remedy) : warning(message, remedy)
}
