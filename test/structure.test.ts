import { readFile, readdir } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Which rooms a room may import from, besides itself and packages. The rest of the design is read off this table. */
const allowed: Record<string, readonly string[]> = {
  bin: ['cli'],
  cli: ['fastify.config.ts', 'services'],
  'index.ts': ['fastify.config.ts', 'services'],
  // As the main module it hands over to the command, which imports it in turn; the import is dynamic.
  'fastify.config.ts': ['cli', 'plugins', 'routes', 'services'],
  plugins: ['services'],
  routes: ['services'],
  services: ['migrations'],
  migrations: [],
  practice: ['cli', 'fastify.config.ts', 'services'],
  client: [],
  bench: ['fastify.config.ts', 'practice', 'services'],
  conformance: ['fastify.config.ts', 'services'],
  fuzz: ['fastify.config.ts', 'services'],
}

interface Import {
  readonly file: string
  readonly target: string
  readonly isTypeOnly: boolean
}

const IMPORT =
  /(?:^|\n)(?:import|export)\s+(type\s)?[^'"]*?from\s+'([^']+)'|import\('([^']+)'\)|(?:^|\n)import '([^']+)'/g

async function sourceFiles(room: string): Promise<string[]> {
  if (room.endsWith('.ts')) return [room]
  const entries = await readdir(join(root, room), { recursive: true })
  return entries.filter((entry) => /\.[jt]s$/.test(entry)).map((entry) => join(room, entry))
}

async function importsOf(file: string): Promise<Import[]> {
  const text = await readFile(join(root, file), 'utf8')
  return [...text.matchAll(IMPORT)].map(([, type, from, dynamic, bare]) => {
    const target = from ?? dynamic ?? bare ?? ''
    const path = target.startsWith('.') ? relative(root, resolve(root, dirname(file), target)) : target
    return { file, target: path, isTypeOnly: type !== undefined }
  })
}

async function allImports(): Promise<Import[]> {
  const files = (await Promise.all(Object.keys(allowed).map(sourceFiles))).flat()
  return (await Promise.all(files.map(importsOf))).flat()
}

const roomOf = (path: string) => (path in allowed ? path : (path.split('/')[0] ?? ''))
const isOurs = ({ target }: Import) => roomOf(target) in allowed

test('imports run one way: from the command to the routes and plugins, from there to the services', async (t) => {
  const imports = (await allImports()).filter(isOurs)
  t.ok(imports.length > 100, 'the imports are found')
  const against = imports.filter(({ file, target }) => {
    const [from, to] = [roomOf(file), roomOf(target)]
    return from !== to && !(allowed[from] ?? []).includes(to)
  })
  t.same(against, [])
})

test('a service knows no Fastify', async (t) => {
  const imports = (await allImports()).filter(({ file }) => roomOf(file) === 'services')
  const fastify = imports.filter(({ target }) => target === 'fastify' || /^@fastify\/|^fastify-plugin$/.test(target))
  t.same(fastify, [])
})

test('routes take only types and errors from services, and nothing but the server imports a route', async (t) => {
  const imports = (await allImports()).filter(isOurs)
  const values = imports.filter(
    ({ file, target, isTypeOnly }) =>
      roomOf(file) === 'routes' && roomOf(target) === 'services' && !isTypeOnly && target !== 'services/errors.ts',
  )
  t.same(values, [])
  const importers = imports.filter(({ file, target }) => roomOf(target) === 'routes' && roomOf(file) !== 'routes')
  t.same([...new Set(importers.map(({ file }) => file))], ['fastify.config.ts'])
})

test('acme-client, of which only the signing and the asking are used, is reached by one file alone', async (t) => {
  const importers = (await allImports()).filter(
    ({ target }) => target === 'acme-client' || target.startsWith('acme-client/'),
  )
  t.same([...new Set(importers.map(({ file }) => file))], ['services/acme/wire.ts'])
})

test('migrations are imported by the stores alone', async (t) => {
  const imports = (await allImports()).filter(
    ({ file, target }) => roomOf(target) === 'migrations' && roomOf(file) !== 'migrations',
  )
  t.ok(imports.length > 0)
  t.same(
    imports.filter(({ file }) => !file.startsWith('services/stores/')),
    [],
  )
})

test('every file of a room is used by another file', async (t) => {
  const files = (await Promise.all(['plugins', 'routes', 'services', 'migrations', 'cli'].map(sourceFiles))).flat()
  const used = new Set((await allImports()).map(({ target }) => target))
  const entries = ['cli/main.ts']
  t.same(
    files.filter((file) => !used.has(file) && !entries.includes(file)),
    [],
  )
})

test('the environment is read by the command, and only the command prints', async (t) => {
  const files = (await Promise.all(['plugins', 'routes', 'services', 'migrations'].map(sourceFiles))).flat()
  for (const file of files) {
    const text = await readFile(join(root, file), 'utf8')
    const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')
    t.notMatch(code, /process\.env|console\./, file)
  }
})
