import { InvalidArgumentError } from 'commander'

const SECONDS = { s: 1, m: 60, h: 3_600, d: 86_400 } as const

/** Reads a duration, `90s`, `15m`, `12h`, `30d` or plain seconds, and returns seconds. */
export function readDuration(text: string): number {
  const [, amount, unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? []
  if (amount === undefined) throw new InvalidArgumentError('Give seconds, or 90s, 15m, 12h, 30d.')
  return Number(amount) * SECONDS[unit as keyof typeof SECONDS]
}

/** Reads a whole number. */
export function readWhole(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('Give a whole number.')
  return Number(text)
}

/** Collects the values of an option that may be given several times. */
export function collect(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value]
}
