import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { settingsByName } from '../services/settings.ts'

const README = new URL('../README.md', import.meta.url)
const TABLE = /(<!-- settings -->\n)[\s\S]*?(<!-- \/settings -->)/

/** Returns the README with its table of configuration variables written anew from `services/settings.ts`. */
export async function readmeWithSettings(): Promise<string> {
  const text = await readFile(README, 'utf8')
  return text.replace(TABLE, (_all, begin: string, end: string) => `${begin}${settingsTable()}\n${end}`)
}

function settingsTable(): string {
  const rows = Object.entries(settingsByName).map(([name, { default: value, meaning, aliases, isSecret }]) => {
    const names = isSecret ? `\`${name}\`, \`${name}_FILE\`` : `\`${name}\``
    const shown = value === '' ? '' : value.includes(' ') ? value : `\`${value}\``
    const old = aliases === undefined ? '' : ` In 2023: ${aliases.map((each) => `\`${each}\``).join(', ')}.`
    return `| ${names} | ${shown} | ${meaning}${old} |`
  })
  return ['| variable | default | meaning |', '|---|---|---|', ...rows].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await writeFile(README, await readmeWithSettings())
