import { Ajv2020 } from 'ajv/dist/2020.js'
import { test } from 'tap'
import type { FastifyInstance } from 'fastify'
import { pretendDomain } from '../support/pretended-domain.ts'
import { PLAIN, basic, bearer } from '../support/refusals.ts'
import { ADMIN, startSoakp } from '../support/soakp.ts'
import type { TestSoakp } from '../support/soakp.ts'

const METHODS = ['get', 'put', 'post', 'delete', 'options', 'head', 'patch', 'trace']

async function readDocument(soakp: TestSoakp) {
  const { status, headers, body } = await soakp.call('GET', '/soakp/openapi.json')
  if (status !== 200 || !headers.get('content-type')?.startsWith('application/json')) throw new Error('no document')
  return body
}

/** Reads the routes of a server from the tree that Fastify prints, as `get /soakp/keys/{id}`. */
function routesOf(app: FastifyInstance): string[] {
  const parents: string[] = []
  return app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part = '', methods = ''] = /^([│├└─ ]*)(\S+) \((.*)\)$/.exec(line) ?? []
      const depth = indent.length / 4
      const path = (depth > 1 ? (parents[depth - 1] ?? '') : '') + part
      parents[depth] = path
      return methods === '' ? [] : methods.split(', ').map((method) => `${method.toLowerCase()} ${path}`)
    })
    .map((route) => route.replaceAll(/:(\w+)/g, '{$1}'))
}

test('the document lists exactly the routes of SOAKP itself', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { paths } = await readDocument(soakp)
  const documented = Object.keys(paths).flatMap((path) => Object.keys(paths[path]).map((method) => `${method} ${path}`))
  const own = routesOf(soakp.app).filter((route) => {
    const [method = '', path = ''] = route.split(' ')
    const isAside = method === 'head' || method === 'options'
    return !isAside && !/^\/(?:v1|openai)(?:\/|$)/.test(path)
  })
  t.strictSame(documented.toSorted(), own.toSorted())
  for (const route of ['post /soakp/keys', 'put /soakp/keys/{id}/value', 'get /soakp/me', 'post /get-jwt']) {
    t.ok(documented.includes(route), route)
  }
})

test('the document is well-formed OpenAPI 3.1', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const document = await readDocument(soakp)
  t.match(document.openapi, /^3\.1\.\d+$/)
  t.match(document.info, { title: 'SOAKP', version: /./ })
  t.notMatch(JSON.stringify(document), process.version)
  const schemes = document.components.securitySchemes
  const ajv = new Ajv2020({ strict: false }).addSchema(document, 'soakp')
  const seen = new Set<string>()
  for (const path of Object.keys(document.paths)) {
    t.match(path, /^\/[\w{}./-]+$/)
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
    for (const method of Object.keys(document.paths[path])) {
      const operation = document.paths[path][method]
      const what = `${method} ${path}`
      t.ok(METHODS.includes(method), what)
      t.type(operation.summary, 'string', what)
      t.notOk(seen.has(operation.summary + path + method))
      const parameters = operation.parameters ?? []
      const inPath = parameters.filter((each: { in: string }) => each.in === 'path')
      t.strictSame(
        inPath.map((each: { name: string; required: boolean }) => each.required && each.name),
        named,
        what,
      )
      for (const requirement of operation.security) {
        for (const name of Object.keys(requirement)) t.ok(schemes[name], `${what}: ${name} is described`)
      }
      t.ok(
        Object.keys(operation.responses).some((status) => /^2\d\d$/.test(status)),
        `${what}: how it succeeds`,
      )
      t.ok(operation.responses.default, `${what}: how it is refused`)
      for (const status of Object.keys(operation.responses)) {
        t.type(operation.responses[status].description, 'string', `${what} ${status}`)
        const [type = ''] = Object.keys(operation.responses[status].content)
        const pointer = ['paths', path, method, 'responses', status, 'content', type, 'schema']
        t.type(ajv.compile({ $ref: refTo(pointer) }), 'function', `${what} ${status}: a schema`)
      }
      const body = operation.requestBody?.content['application/json'].schema
      if (body !== undefined) t.type(ajv.compile(body), 'function', `${what}: a body`)
      t.equal(
        body !== undefined,
        /^(?:post .*(?:keys|tokens|rotate|revoke|jwt|generate)|patch .*|put .*)$/.test(what),
        `${what}: body or none`,
      )
    }
  }
})

test('every route answers as the document says, errors too', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ADMIN_TOKEN: undefined })
  const finding = { check: 'clock', status: 'ok', message: 'It is right.', remedy: null } as const
  pretendDomain(soakp.app, [finding])
  let admin = soakp.app.unsealed.newAdminCredential?.reveal() ?? ''
  const document = await readDocument(soakp)
  const ajv = new Ajv2020({ strict: false }).addSchema(document, 'soakp')
  const succeeded = new Set<string>()
  const refused = new Set<string>()

  async function call(method: string, path: string, headers: Record<string, string>, body?: unknown, id = '') {
    const answer = await soakp.call(method.toUpperCase(), path.replace(/\{\w+\}/, id), { headers, body })
    const what = `${method} ${path.split('?')[0]}`
    const { responses } = document.paths[path.split('?')[0] ?? ''][method]
    const status = String(answer.status) in responses ? String(answer.status) : 'default'
    const [type = ''] = Object.keys(responses[status].content ?? { 'application/json': {} })
    const pointer = ['paths', path.split('?')[0] ?? '', method, 'responses', status, 'content', type, 'schema']
    const isValid = ajv.validate({ $ref: refTo(pointer) }, answer.body)
    t.ok(isValid, `${what} ${answer.status}`, { errors: ajv.errors, body: answer.body })
    t.equal(answer.status < 300, status !== 'default', `${what} ${answer.status}: only errors are not listed`)
    ;(answer.status < 300 ? succeeded : refused).add(what)
    return answer.body
  }

  const key = { key: soakp.upstream.key }
  const saved = await call('post', '/soakp/keys', bearer(admin), { ...key, name: 'one', organization: 'org-1' })
  const policy = { scope: { methods: ['GET'], paths: ['/models'] }, limits: { parallel_requests: 1 } }
  const minted = await call('post', '/soakp/tokens', bearer(admin), { key_id: saved.id, subject: 's', ...policy })
  for (const path of ['/soakp/health', '/soakp/ready', '/soakp/openapi.json']) await call('get', path, {})
  await call('get', '/soakp/me', bearer(minted.token))
  await call('get', '/soakp/me', bearer('wrong'))
  for (const credential of [bearer(admin), bearer('wrong'), {}]) {
    for (const path of ['/soakp/keys', '/soakp/tokens', '/soakp/keys?limit=0', '/soakp/tokens?limit=0']) {
      await call('get', path, credential)
    }
    await call('get', '/soakp/keys/{id}', credential, undefined, saved.id)
    await call('patch', '/soakp/keys/{id}', credential, { name: 'two' }, saved.id)
    await call('put', '/soakp/keys/{id}/value', credential, key, saved.id)
    await call('post', '/soakp/keys/{id}/check', credential, undefined, saved.id)
    await call('get', '/soakp/tokens/{id}', credential, undefined, minted.id)
    await call('post', '/soakp/tokens/{id}/rotate', credential, {}, minted.id)
    await call('delete', '/soakp/tokens/{id}', credential, undefined, minted.id)
    await call('get', '/soakp/tokens/{id}', credential, undefined, minted.id)
    for (const path of ['/soakp/certificates', '/soakp/dns/providers', '/soakp/metrics']) {
      await call('get', path, credential)
    }
    for (const action of ['renew', 'account-key', 'check']) {
      await call('post', `/soakp/certificates/${action}`, credential)
    }
    await call('post', '/soakp/certificates/revoke', credential, { reason: 'superseded' })
    await call('put', '/soakp/dns/credentials/{name}', credential, { value: 'x' }, 'CF_DNS_API_TOKEN')
    await call('delete', '/soakp/dns/credentials/{name}', credential, undefined, 'CF_DNS_API_TOKEN')
  }
  await call('post', '/soakp/keys', bearer(admin), { key: '' })
  await call('post', '/soakp/tokens', bearer(admin), { key_id: 'key_unknown' })
  for (const path of ['/jwt/generate', '/get-jwt']) {
    await call('post', path, basic('admin', admin), key)
    await call('post', path, basic('admin', 'wrong'), key)
  }
  await call('delete', '/soakp/keys/{id}', bearer(admin), undefined, saved.id)
  await call('delete', '/soakp/keys/{id}', bearer(admin), undefined, saved.id)
  await call('post', '/soakp/keys/{id}/check', bearer(admin), undefined, saved.id)
  await call('post', '/soakp/admin/reset', bearer(ADMIN))
  admin = (await call('post', '/soakp/admin/reset', bearer(admin))).credential
  await call('get', '/soakp/keys', bearer(admin))

  const all = Object.keys(document.paths).flatMap((path) =>
    Object.keys(document.paths[path]).map((method) => `${method} ${path}`),
  )
  t.strictSame([...succeeded].toSorted(), all.toSorted(), 'every route succeeded')
  const open = ['get /soakp/health', 'get /soakp/ready', 'get /soakp/openapi.json']
  t.strictSame([...refused, ...open].toSorted(), all.toSorted(), 'every other route refused')
})

function refTo(pointer: readonly string[]): string {
  return `soakp#/${pointer.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`
}
