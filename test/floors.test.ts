import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { ROOT } from './support/process.ts'

/** The least version of a package by major, or no major for a package that must not be there. */
interface Floor {
  readonly package: string
  readonly floors: Readonly<Record<string, string>>
  readonly advisories: readonly string[]
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly name?: string }>>
}

const readJson = async (path: string): Promise<unknown> => JSON.parse(await readFile(join(ROOT, path), 'utf8'))
const numbersOf = (version: string) => version.split('.').map((part) => Number.parseInt(part, 10))

function isBelow(version: string, least: string): boolean {
  const wanted = numbersOf(least)
  for (const [index, number] of numbersOf(version).entries()) {
    if (number !== wanted[index]) return number < (wanted[index] ?? 0)
  }
  return false
}

/** Says what is wrong with a version; a major that is newer than all that are listed is taken. */
function faultOf({ floors }: Floor, version: string): string | undefined {
  const majors = Object.keys(floors).map(Number)
  const [major = 0] = numbersOf(version)
  if (majors.length === 0) return 'must not be here'
  if (major > Math.max(...majors)) return undefined
  const least = floors[major]
  if (least === undefined) return `has no floor for version ${major}`
  return isBelow(version, least) ? `${version} is below ${least}` : undefined
}

/** Every copy of a package in a lockfile, nested ones and those under another name included. */
function copiesOf(lock: Lock, name: string): [path: string, version: string][] {
  return Object.entries(lock.packages).flatMap(([path, entry]) => {
    const isCopy = (entry.name ?? path.split('node_modules/').at(-1)) === name && path !== ''
    return isCopy && entry.version !== undefined ? [[path, entry.version]] : []
  })
}

const faultsIn = (lock: Lock, floors: readonly Floor[]) =>
  floors.flatMap((floor) =>
    copiesOf(lock, floor.package).flatMap(([path, version]) => {
      const fault = faultOf(floor, version)
      return fault === undefined ? [] : [`${path}: ${fault} (${floor.advisories.join(', ')})`]
    }),
  )

test('no copy of a package in the lockfile is older than its advisories allow', async (t) => {
  const floors = (await readJson('security/floors.json')) as Floor[]
  const lock = (await readJson('package-lock.json')) as Lock
  t.strictSame(faultsIn(lock, floors), [])
  const needed = floors.filter((floor) => floor.package !== 'node' && Object.keys(floor.floors).length > 0)
  t.strictSame(
    needed.filter((floor) => copiesOf(lock, floor.package).length === 0).map((floor) => floor.package),
    [],
    'a floor of what is no longer here can go',
  )
  t.ok(copiesOf(lock, 'undici').length > 1, 'nested copies are looked at')
})

test('an old copy anywhere in a lockfile is found', async (t) => {
  const floors = (await readJson('security/floors.json')) as Floor[]
  const lock: Lock = {
    packages: {
      '': { name: 'fastify', version: '0.0.1' },
      'node_modules/undici': { version: '7.30.2' },
      'node_modules/a/node_modules/undici': { version: '7.29.9' },
      'node_modules/b/node_modules/undici': { version: '5.28.0' },
      'node_modules/sqlite': { version: '13.0.2', name: 'better-sqlite3-multiple-ciphers' },
      'node_modules/@fastify/middie': { version: '99.0.0' },
    },
  }
  t.strictSame(
    faultsIn(lock, floors).map((fault) => fault.split(' (')[0]),
    [
      'node_modules/a/node_modules/undici: 7.29.9 is below 7.30.0',
      'node_modules/b/node_modules/undici: has no floor for version 5',
      'node_modules/sqlite: 13.0.2 is below 13.0.3',
      'node_modules/@fastify/middie: must not be here',
    ],
  )
})

test('the Node that runs, the one of a clone and the one of the image are not older than its advisories allow', async (t) => {
  const floors = (await readJson('security/floors.json')) as Floor[]
  const node = floors.find((floor) => floor.package === 'node') ?? { package: 'node', floors: {}, advisories: [] }
  const tools = (await readJson('tools/node/package.json')) as { optionalDependencies: Record<string, string> }
  for (const [name, version] of Object.entries(tools.optionalDependencies))
    t.equal(faultOf(node, version), undefined, name)
  t.equal(faultOf(node, process.versions.node), undefined)
  const [, image = ''] = /^ARG BASE_IMAGE=node:(\d+)-/m.exec(await readFile(join(ROOT, 'Dockerfile'), 'utf8')) ?? []
  t.ok(image in node.floors, 'the image has the newest of a major that is looked after')
  const { engines } = (await readJson('package.json')) as { engines: { node: string } }
  const majors = engines.node.match(/\d+(?=\.)/g) ?? []
  t.ok(majors.length > 0 && majors.every((major) => major in node.floors), 'and so is each that package.json names')
})
