import type { KeyCheck } from '../key-check.ts'
import type { Key } from '../vault.ts'
import { fault, ok, warning } from './finding.ts'
import type { Result } from './finding.ts'
import type { VaultAccess } from './vault.ts'

const AT_ONCE = 8

/** What an upstream said of a key; undefined when there was no time for an answer. */
interface Checked {
  readonly key: Key
  readonly check: KeyCheck | undefined
}

/** Has each saved key asked for at its upstream, all together in the time of one check. */
export async function checkKeys(access: VaultAccess, networkMs: number): Promise<Result> {
  const keys = await access.keys()
  if (keys.length === 0) return ok('There are none yet: `soakp keys add` saves one.')
  const checked = await askAll(access, keys, networkMs)
  const refused = checked.filter(({ check }) => check?.status === 401)
  if (refused.length > 0) {
    const replace = refused.map(({ key }) => `\`soakp keys replace ${key.id}\``).join(', ')
    return fault(`The upstream refuses ${named(refused)}.`, `Replace: ${replace}. The tokens go on with the new key.`)
  }
  const [doubtful] = checked.filter(({ check }) => check?.works === false)
  if (doubtful?.check !== undefined) {
    const remedy = `Look at the key's account at its provider; \`soakp keys check ${doubtful.key.id}\` asks again.`
    return warning(`${named([doubtful])}: ${doubtful.check.message}`, remedy)
  }
  const unasked = checked.filter(({ check }) => check === undefined)
  if (unasked.length === 0) return ok(`The upstream takes ${keys.length === 1 ? 'it' : `all ${keys.length}`}.`)
  const message = `There was no answer in ${networkMs / 1_000} s for ${named(unasked)}.`
  return warning(message, '`soakp keys check <id>` asks for one, without haste.')
}

async function askAll(access: VaultAccess, keys: readonly Key[], networkMs: number): Promise<Checked[]> {
  const checked = new Map<string, Checked>(keys.map((key) => [key.id, { key, check: undefined }]))
  const late = new AbortController()
  const waiting = [...keys]

  async function work(): Promise<void> {
    for (let key = waiting.shift(); key !== undefined && !late.signal.aborted; key = waiting.shift()) {
      const { status, value } = await access.ask('POST', `/soakp/keys/${key.id}/check`)
      if (status === 200 && !late.signal.aborted) checked.set(key.id, { key, check: value as KeyCheck })
    }
  }

  await Promise.race([
    new Promise((resolve) => setTimeout(resolve, networkMs).unref()),
    // What is late may still fail when the vault is closed.
    Promise.all(Array.from({ length: AT_ONCE }, () => work().catch(() => undefined))),
  ])
  late.abort()
  return [...checked.values()]
}

function named(checked: readonly Checked[]): string {
  return checked.map(({ key: { id, name } }) => (name === id ? id : `${id} (${name})`)).join(', ')
}
