import { appendFileSync, writeFileSync } from 'node:fs'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '../soakp.ts'
import { optionsOf } from './bench.ts'
import type { BenchSetup } from './bench.ts'

/** Keeps a line for each name and value; the next run finds in `fault` what goes wrong. */
const SCRIPT = `#!/bin/sh
cd "$(dirname "$0")" || exit 1
fault=$(cat fault); : > fault
case $fault in
  before) echo 'not now' >&2; exit 75 ;;
  silence) sleep 600 & echo $! > sleeper; wait ;;
  meanwhile) cat later >> held; : > later ;;
esac
grep -v -x -F -- "$2 $3" held > new
[ "$1" = present ] && printf '%s\\n' "$2 $3" >> new
cat new > held
case $fault in
  after) echo 'lost' >&2; exit 75 ;;
  reset) kill -9 $$ ;;
esac
exit 0
`

/** A program of the operator's: a shell script that writes to a file. */
export const exec: BenchSetup = {
  isMissing: false,

  async start(t) {
    const folder = await temporaryFolder(t)
    const at = (name: string) => join(folder, name)
    await mkdir(folder, { recursive: true })
    await Promise.all([writeFile(at('held'), ''), writeFile(at('fault'), ''), writeFile(at('program'), SCRIPT)])
    await chmod(at('program'), 0o700)
    const lines = async () => (await readFile(at('held'), 'utf8')).split('\n').filter((line) => line !== '')
    let target = 'held'
    const fail = (fault: string) => writeFileSync(at('fault'), fault)
    return {
      options: optionsOf({ EXEC_PATH: at('program') }),

      async values(name) {
        const start = `${name}. `
        return (await lines()).flatMap((line) => (line.startsWith(start) ? [line.slice(start.length)] : []))
      },

      write: async (name, value) => appendFileSync(at(target), `${name}. ${value}\n`),
      snapshot: async () => (await lines()).join('\n'),
      faults: {
        failWrite: () => fail('before'),
        loseAnswer: () => fail('after'),
        resetAfterWrite: () => fail('reset'),
        silence: () => fail('silence'),

        // The program itself writes it at its start: two that write a file at once lose lines.
        meanwhile(act) {
          target = 'later'
          act()
          target = 'held'
          fail('meanwhile')
        },
      },
    }
  },
}
