import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import type { Test } from 'tap'
import { createProvider as createExec } from '../../services/dns/exec.ts'
import { createProvider as createHttpreq } from '../../services/dns/httpreq.ts'
import { optionsOf } from '../support/dns-benches/bench.ts'
import { startCloudflare } from '../support/dns-fakes/cloudflare.ts'
import { startHttpreq } from '../support/dns-fakes/httpreq.ts'
import { certificateFor, startProxy } from '../support/dns-fakes/proxy.ts'
import { startRoute53 } from '../support/dns-fakes/route53.ts'
import type { FakeCall } from '../support/dns-fakes/server.ts'
import { needsKnot, startKnot } from '../support/knot.ts'
import { pebbleIsMissing, startPebble } from '../support/pebble.ts'
import { run } from '../support/process.ts'
import { temporaryFolder } from '../support/soakp.ts'

/** Debian's, which the plug-ins of Debian belong to. */
const PYTHON = '/usr/bin/python3'
const needsModule = (module: string) =>
  spawnSync(PYTHON, ['-c', `import ${module}`]).status === 0 ? false : `needs the Python module ${module}`
const needsLego = spawnSync('lego', ['--version']).status === 0 ? false : 'needs lego'
const name = '_acme-challenge.ai.example.com'
const never = new AbortController().signal

/** Runs a client in Python, which waits after each step until `looked` has looked at the fake. */
async function steps(
  t: Test,
  script: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  look: () => unknown,
) {
  const file = fileURLToPath(new URL(`../support/dns-oracles/${script}`, import.meta.url))
  const { PATH = '' } = process.env
  const child = spawn(PYTHON, [file, ...args], {
    env: { PATH, HOME: '/nonexistent', ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const seen: unknown[] = []
  const closed = once(child, 'close')
  for await (const line of createInterface(child.stdout)) {
    seen.push([line, look()])
    child.stdin.write('\n')
  }
  const [code] = await closed
  t.equal(code, 0, errors)
  return seen
}

/** What a client needs to take the fake for the real service. */
async function pretend(t: Test, host: string, port: number, certificate: string) {
  const file = join(await temporaryFolder(t), 'roots.pem')
  await writeFile(file, certificate)
  const trust = { REQUESTS_CA_BUNDLE: file, AWS_CA_BUNDLE: file, SSL_CERT_FILE: file }
  return { HTTPS_PROXY: await startProxy(t, host, port), ...trust }
}

async function pretendCloudflare(t: Test) {
  const host = 'api.cloudflare.com'
  const certificate = await certificateFor(host)
  const fake = await startCloudflare(t, { zones: ['example.com', 'example.org'], certificate })
  fake.write({ name, content: 'foreign' })
  const look = () => fake.records(name).map(({ content }) => content)
  return { fake, look, environment: await pretend(t, host, fake.port, certificate.cert) }
}

async function pretendRoute53(t: Test) {
  const host = 'route53.amazonaws.com'
  const certificate = await certificateFor(host)
  const fake = await startRoute53(t, { zones: ['example.com', 'example.org'], pageSize: 1, certificate })
  const keys = { AWS_ACCESS_KEY_ID: fake.accessKeyId, AWS_SECRET_ACCESS_KEY: fake.secretAccessKey }
  const look = () => fake.find(name)?.values ?? []
  return { fake, look, environment: { ...keys, ...(await pretend(t, host, fake.port, certificate.cert)) } }
}

test(
  "certbot's plug-in adds and removes values at the fake of Cloudflare",
  { skip: needsModule('certbot_dns_cloudflare') },
  async (t) => {
    const { fake, look, environment } = await pretendCloudflare(t)
    const seen = await steps(t, 'certbot_cloudflare.py', [fake.token, 'ai.example.com', name], environment, look)
    t.same(seen, [
      ['add one', ['foreign', 'one']],
      ['add two', ['foreign', 'one', 'two']],
      ['del one', ['foreign', 'two']],
      ['del two', ['foreign']],
    ])
  },
)

test(
  "certbot's plug-in adds and removes values at the fake of Route 53",
  { skip: needsModule('certbot_dns_route53') },
  async (t) => {
    const { look, environment } = await pretendRoute53(t)
    t.same(await steps(t, 'certbot_route53.py', [name], environment, look), [
      ['UPSERT one', ['"one"']],
      ['UPSERT two', ['"one"', '"two"']],
      ['DELETE one', ['"two"']],
      ['DELETE two', []],
    ])
  },
)

for (const provider of ['cloudflare', 'route53'] as const) {
  test(
    `lexicon adds, lists and removes values at the fake of ${provider}`,
    { skip: needsModule('lexicon') },
    async (t) => {
      const pretended = provider === 'cloudflare' ? await pretendCloudflare(t) : await pretendRoute53(t)
      const { fake, environment } = pretended
      const options =
        'token' in fake
          ? [`auth_token=${fake.token}`]
          : [`auth_access_key=${fake.accessKeyId}`, `auth_access_secret=${fake.secretAccessKey}`]
      const other = '_acme-challenge.lexicon.example.com'
      const look = () =>
        'token' in fake
          ? fake.records(other).map(({ content }) => content)
          : (fake.find(other)?.values.map((value) => value.slice(1, -1)) ?? [])
      t.same(await steps(t, 'lexicon_client.py', [provider, 'example.com', other, ...options], environment, look), [
        ["create one ['one']", ['one']],
        ["create two ['one', 'two']", ['one', 'two']],
        ["delete one ['two']", ['two']],
        ['delete two []', []],
      ])
    },
  )
}

/** Has lego prove a name with a provider of its. That the authority then refuses is all the same: it has cleaned up. */
async function lego(t: Test, provider: string, environment: Readonly<Record<string, string>>) {
  const knot = await startKnot(t, { zones: { 'example.com': '' } })
  const pebble = await startPebble(t, { dnsServer: knot.host })
  const folder = await temporaryFolder(t)
  const from = ['--path', folder, '--server', pebble.directory, '--email', 'a@example.com', '--accept-tos']
  const to = ['--dns', provider, '--dns.disable-cp', '--dns.resolvers', knot.host, '-d', 'ai.example.com']
  const own = { LEGO_CA_CERTIFICATES: pebble.rootsFile, NO_PROXY: '127.0.0.0/8', HOME: folder, ...environment }
  return run(t, 'lego', [...from, ...to, 'run'], { environment: own }).ended
}

const legoIsMissing = needsLego || needsKnot() || pebbleIsMissing

test('lego adds and removes a value at the fake of Route 53', { skip: legoIsMissing }, async (t) => {
  const { fake, look, environment } = await pretendRoute53(t)
  fake.write({ name, values: ['"foreign"'] })
  const { stderr } = await lego(t, 'route53', { ...environment, AWS_REGION: 'us-east-1' })
  const writes = fake.calls.filter(({ method }) => method === 'POST').map(({ body }) => body)
  t.match(writes[0], /UPSERT[^]*foreign/, 'it adds', { stderr })
  t.match(writes[1], /DELETE|UPSERT/, 'it removes', { stderr })
  t.notOk(
    look().some((value) => /^"[\w-]{43}"$/.test(value)),
    'its value is gone',
  )
})

test('what we post is what lego posts', { skip: legoIsMissing }, async (t) => {
  const fake = await startHttpreq(t)
  const variables = { HTTPREQ_ENDPOINT: fake.url, HTTPREQ_USERNAME: fake.username, HTTPREQ_PASSWORD: fake.password }
  const { stderr } = await lego(t, 'httpreq', variables)
  const theirs = fake.calls.map(shapeOf)
  const { value = '' } = JSON.parse(fake.calls[0]?.body ?? '{}') as { value?: string }
  const provider = createHttpreq(optionsOf(variables))
  t.teardown(() => provider.close?.())
  const record = { zone: { name: 'example.com' }, name, value }
  await provider.add(record, never)
  await provider.remove(record, never)
  t.equal(theirs.length, 2, 'lego has called twice', { stderr })
  t.same(fake.calls.slice(2).map(shapeOf), theirs)
})

const shapeOf = ({ method, path, headers, body }: FakeCall) => ({
  method,
  path,
  type: headers['content-type'],
  authorization: headers['authorization'],
  body: JSON.parse(body) as unknown,
})

test('what we run is what lego runs', { skip: legoIsMissing }, async (t) => {
  const folder = await temporaryFolder(t)
  const program = join(folder, 'program')
  await writeFile(program, `#!/bin/sh\nprintf '%s|' "$#" "$@" >> ${folder}/out; echo >> ${folder}/out\n`)
  await chmod(program, 0o700)
  const { stdout, stderr } = await lego(t, 'exec', { EXEC_PATH: program })
  const theirs = (await readFile(join(folder, 'out'), 'utf8')).trimEnd().split('\n')
  const value = `${theirs[0]?.split('|')[3]}`
  const provider = createExec(optionsOf({ EXEC_PATH: program }))
  const record = { zone: { name: 'example.com' }, name, value }
  await provider.add(record, never)
  await provider.remove(record, never)
  const all = (await readFile(join(folder, 'out'), 'utf8')).trimEnd().split('\n')
  t.equal(theirs.length, 2, 'lego has run it twice', { stdout, stderr })
  t.same(all.slice(2), theirs)
})
