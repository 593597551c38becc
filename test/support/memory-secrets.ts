import type { OwnSecrets } from '../../services/own-secrets.ts'

/** Secrets in memory that outlive the engine that uses them, and can die at a chosen write as a killed process does. */
export interface MemorySecrets {
  /** For one life: from its write `dieAt` on (the first is 0) every call throws, and nothing is stored. While `isBroken`, calls throw too. */
  live(dieAt?: number, isBroken?: () => boolean): OwnSecrets
  /** Whether the last life has died. */
  isDead(): boolean
  read(id: string): unknown
  /** All that is stored, as text. */
  text(): string
}

/** Creates an empty store. */
export function createMemorySecrets(): MemorySecrets {
  const stored = new Map<string, string>()
  let isDead = false
  let lives = 0

  return {
    isDead: () => isDead,
    read: (id) => JSON.parse(stored.get(id) ?? 'null'),
    text: () => [...stored.values()].join('\n'),

    live(dieAt = Infinity, isBroken = () => false) {
      const life = (lives += 1)
      let writes = 0
      isDead = false
      const assertAlive = (isWrite: boolean) => {
        const isOver = life < lives
        if (isWrite && writes >= dieAt && !isOver) isDead = true
        if (isOver || isDead || isBroken()) throw new Error('killed')
        if (isWrite) writes += 1
      }
      const find = async (id: string): Promise<unknown> => {
        assertAlive(false)
        const text = stored.get(id)
        return text === undefined ? undefined : JSON.parse(text)
      }
      const replace = async (id: string, value: object) => {
        assertAlive(true)
        stored.set(id, JSON.stringify(value))
      }
      return {
        find,
        replace,
        async findOrMake<Value extends object>(id: string, make: () => Promise<Value>) {
          const known = await find(id)
          if (known !== undefined) return { value: known as Value, isNew: false }
          const value = await make()
          await replace(id, value)
          return { value, isNew: true }
        },
        async remove(id) {
          assertAlive(true)
          stored.delete(id)
        },
      }
    },
  }
}
