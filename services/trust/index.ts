import { copyFile, rm } from 'node:fs/promises'
import type { AuthorityCertificate } from './authority.ts'
import { browserStores } from './browsers.ts'
import type { Machine } from './machine.ts'
import { systemStores } from './system.ts'

/** One thing to do: a file is put somewhere or taken away, or a program is run. */
export type Step =
  | { readonly kind: 'copy'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly file: string; readonly backup: string }
  | { readonly kind: 'run'; readonly program: string; readonly args: readonly string[] }

/** A place where certificate authorities are trusted. */
export interface TrustStore {
  readonly kind: StoreKind
  readonly name: string
  /** Tells whether the authority is in it. */
  isIn(): Promise<boolean>
  readonly trust: readonly Step[]
  readonly untrust: readonly Step[]
  /** Changing it takes the rights of the administrator. */
  readonly needsRoot: boolean
  /** What else is to be known or to be done. */
  readonly hint?: string
}

/** The store of the system, or those of browsers that have their own. */
export type StoreKind = 'system' | 'browsers'

/** What became of one store. `commands` are what to type where SOAKP could not do it: program and arguments. */
export interface TrustChange {
  readonly kind: StoreKind
  readonly name: string
  readonly status: 'changed' | 'unchanged' | 'failed'
  readonly message: string
  readonly commands: readonly (readonly string[])[]
}

/** Finds the trust stores of a machine. */
export async function findTrustStores(
  machine: Machine,
  authority: AuthorityCertificate,
  kinds: readonly StoreKind[],
): Promise<TrustStore[]> {
  return [
    ...(kinds.includes('system') ? systemStores(machine, authority) : []),
    ...(kinds.includes('browsers') ? await browserStores(machine, authority) : []),
  ]
}

/** Puts the authority into a store or takes it out. What is done half is undone, and told as not done. */
export async function changeTrust(
  machine: Machine,
  store: TrustStore,
  direction: 'trust' | 'untrust',
): Promise<TrustChange> {
  const { kind, name, hint } = store
  const isIn = await store.isIn()
  if (isIn === (direction === 'trust')) {
    const message = isIn ? 'It is trusted there already.' : 'It was not trusted there.'
    return { kind, name, status: 'unchanged', message, commands: [] }
  }
  const done: Step[] = []
  for (const step of store[direction]) {
    const failure = await perform(machine, step)
    if (failure === undefined) {
      done.push(step)
      continue
    }
    for (const each of done.toReversed()) await undo(each)
    const commands = store[direction].map((each) => [...(store.needsRoot ? ['sudo'] : []), ...words(each)])
    return { kind, name, status: 'failed', message: failure, commands }
  }
  const message = direction === 'trust' ? 'It is trusted there now.' : 'It is not trusted there any more.'
  return { kind, name, status: 'changed', message: hint === undefined ? message : `${message} ${hint}`, commands: [] }
}

/** Does a step; returns why it failed, in a sentence, or undefined. */
async function perform(machine: Machine, step: Step): Promise<string | undefined> {
  if (step.kind === 'run') {
    const { code, output } = await machine.run(step.program, step.args)
    if (code === 0) return undefined
    if (code === 127) return `The program ${step.program} is missing${packageOf(step.program, machine)}.`
    const [line] = output.split('\n').filter((each) => each.trim() !== '')
    return `${step.program} failed${line === undefined ? '' : `: ${line.trim().replace(/\.?$/, '.')}`}`
  }
  try {
    if (step.kind === 'copy') await copyFile(step.from, step.to)
    else await rm(step.file)
    return undefined
  } catch (error) {
    const file = step.kind === 'copy' ? step.to : step.file
    const { code } = error as NodeJS.ErrnoException
    const isRight = code === 'EACCES' || code === 'EPERM'
    return isRight ? `This user may not change ${file}.` : `${file} cannot be changed (${code}).`
  }
}

async function undo(step: Step): Promise<void> {
  if (step.kind === 'copy') await rm(step.to, { force: true })
  if (step.kind === 'remove') await copyFile(step.backup, step.file)
}

function words(step: Step): string[] {
  if (step.kind === 'copy') return ['cp', step.from, step.to]
  if (step.kind === 'remove') return ['rm', step.file]
  return [step.program, ...step.args]
}

function packageOf(program: string, { platform }: Machine): string {
  if (program !== 'certutil') return ''
  if (platform === 'darwin') return '; `brew install nss` brings it'
  return '; it comes with libnss3-tools (Debian, Ubuntu), nss-tools (Fedora) or nss (Arch)'
}
