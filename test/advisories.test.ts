import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { ROOT } from './support/process.ts'

/** Which tests prove what: `file › title`, or the name of one case in a table of tests. */
interface Evidence {
  readonly advisories: Readonly<Record<string, readonly string[]>>
  /** What was measured on the packages, by a number of its own. */
  readonly facts: Readonly<Record<string, readonly string[]>>
  /** Facts that no test proves, and why. */
  readonly open: Readonly<Record<string, string>>
}

const readText = (path: string) => readFile(join(ROOT, path), 'utf8')
const readJson = async (path: string): Promise<unknown> => JSON.parse(await readText(path))

/** Tells whether a file has a text as a string, a name of a property, or the end of a title that begins with a mode. */
async function isWritten(reference: string): Promise<boolean> {
  const [file = '', title = ''] = reference.split(' › ')
  const text = (await readText(file).catch(() => '')).replaceAll("\\'", "'")
  return [`'${title}'`, `"${title}"`, `, ${title}\``, `, ${title}'`, ` ${title}: `, ` ${title}]`].some((each) =>
    text.includes(each),
  )
}

test('every advisory has a test, and each of these tests exists', async (t) => {
  const { advisories } = (await readJson('test/fixtures/measured-facts.json')) as Evidence
  const floors = (await readJson('security/floors.json')) as { readonly advisories: readonly string[] }[]
  const named = [...new Set(floors.flatMap((floor) => floor.advisories))]
  t.strictSame(
    named.filter((advisory) => !(advisory in advisories)),
    [],
    'each that has a floor has a test',
  )
  for (const [advisory, tests] of Object.entries(advisories)) {
    t.ok(tests.length > 0, advisory)
    for (const reference of tests) t.ok(await isWritten(reference), `${advisory}: ${reference}`)
  }
})

test('every measured fact has a test, or a reason why it has none', async (t) => {
  const { facts, open } = (await readJson('test/fixtures/measured-facts.json')) as Evidence
  t.strictSame(
    Object.keys(facts).map((fact) => Number.parseInt(fact, 10)),
    Object.keys(facts).map((_, index) => index + 1),
    'they are numbered',
  )
  for (const [fact, tests] of Object.entries(facts)) {
    t.equal(tests.length === 0, fact in open, `${fact}: a test or a reason`)
    for (const reference of tests) t.ok(await isWritten(reference), `${fact}: ${reference}`)
  }
})

test('a test that does not exist proves nothing', async (t) => {
  t.notOk(await isWritten('test/floors.test.ts › no such title'))
  t.notOk(await isWritten('test/no-such-file.test.ts › a title'))
})
