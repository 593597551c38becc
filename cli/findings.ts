import type { Finding } from '../services/doctor/finding.ts'
import { EXIT, inCommands } from './failures.ts'
import { plainText } from './output.ts'

const STATUS_WIDTH = 'warning'.length
const CHECK_WIDTH = 'upstream-certificate'.length

/** Prints a finding and, below it, what to do about it. */
export function printFinding(finding: Finding): void {
  const { message, remedy } = inWords(finding)
  const head = `${finding.status.padEnd(STATUS_WIDTH)}  ${finding.check.padEnd(CHECK_WIDTH)}  `
  const lines = [head + message, ...(remedy === null ? [] : [' '.repeat(head.length) + remedy])]
  process.stdout.write(`${lines.map(plainText).join('\n')}\n`)
}

/** Prints what all findings come to, or, with `--json`, all of them; a fault sets the exit code. */
export function endFindings(findings: readonly Finding[], isJson: boolean): void {
  const list = { object: 'list', data: findings.map((each) => ({ ...each, ...inWords(each) })) }
  process.stdout.write(isJson ? `${JSON.stringify(list)}\n` : `\n${summary(findings)}\n`)
  if (findings.some(({ status }) => status === 'fault')) process.exitCode = EXIT.failed
}

function inWords({ message, remedy }: Finding): Pick<Finding, 'message' | 'remedy'> {
  return { message: inCommands(message), remedy: remedy === null ? null : inCommands(remedy) }
}

function summary(findings: readonly Finding[]): string {
  const count = (status: Finding['status'], one: string, many: string) => {
    const number = findings.filter((each) => each.status === status).length
    return number === 0 ? [] : [`${number} ${number === 1 ? one : many}`]
  }
  const parts = [
    ...count('fault', 'fault', 'faults'),
    ...count('warning', 'warning', 'warnings'),
    ...count('skipped', 'not checked', 'not checked'),
  ]
  return parts.length === 0 ? 'Nothing is wrong.' : `${parts.join(', ')}.`
}
