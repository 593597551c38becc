import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { test } from 'tap'
import type { Test } from 'tap'
import { bundle, readExamples } from './fixtures/page/bundle.ts'
import { servePages } from './fixtures/page/serve.ts'
import type { PageServer } from './fixtures/page/serve.ts'
import { chromiumIsMissing, startChromium } from './support/chromium.ts'
import type { Browser, Page } from './support/chromium.ts'
import { isRefused } from './support/refusals.ts'
import { ADMIN, startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { eventually } from './support/wire.ts'

interface Scene {
  readonly soakp: TestSoakp
  readonly logs: string[]
  readonly keyId: string
  readonly token: string
  readonly browser: Browser
  readonly pages: PageServer
  /** Sets how the app's server gets a token. */
  readonly mintBy: (mint: () => Promise<string>) => void
  /** Opens a page with the SDK, served from this host. */
  readonly openSdk: (host: string) => Promise<Page>
}

async function start(t: Test): Promise<Scene> {
  const logs: string[] = []
  const soakp = await startSoakp(t, { SOAKP_LOG_LEVEL: 'info' }, { logs })
  const { id: keyId, token } = await soakp.saveKey()
  let mint = async () => token
  const pages = await servePages(t, () => mint())
  pages.files.set('/sdk.js', await bundle(`import './test/fixtures/page/page.ts'`))
  pages.files.set('/sdk.html', '<!doctype html><script type="module" src="/sdk.js"></script>')
  const browser = await startChromium(t, soakp.authority ?? '')
  return {
    soakp,
    logs,
    keyId,
    token,
    pages,
    browser,
    mintBy: (next) => void (mint = next),
    openSdk: (host) => browser.open(`http://${host}:${pages.port}/sdk.html`),
  }
}

test('a page on another origin', { skip: chromiumIsMissing }, async (t) => {
  const scene = await start(t)
  const { soakp, logs, keyId, token, pages, browser } = scene
  const { address, upstream } = soakp
  const place = { address, token }
  const local = await scene.openSdk('localhost')

  await t.test('the SDK refuses to run in a page without dangerouslyAllowBrowser', async (step) => {
    step.match(await local.call('unguarded', token), /set the `dangerouslyAllowBrowser` option to `true`/)
  })

  await t.test('chat and responses are streamed to the SDK, and files go up and down', async (step) => {
    const pieces = await local.call('chat', place)
    step.ok(pieces.length > 3)
    step.match(pieces.join(''), /You said: Good morning$/)
    const { text, first, last } = await local.call('respond', place)
    step.match(text, /You said: Good morning$/)
    step.strictSame([first, last], ['response.created', 'response.completed'])
    const file = await local.call('upload', place)
    step.strictSame(file, { filename: 'ä "1".bin', bytes: 300_006, isSame: true })
  })

  await t.test(
    'an event arrives while the next is not written yet, and an abort ends the upstream call',
    async (step) => {
      upstream.clear()
      const takeBack = upstream.handle('POST', '/v1/chat/completions', (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: {"choices":[{"index":0,"delta":{"content":"first"}}]}\n\n')
      })
      step.equal(await local.call('begin', place), 'first')
      step.equal(await local.call('abort'), true, 'the stream of the SDK ends')
      await upstream.requests[0]?.ended
      step.equal(upstream.requests[0]?.aborted, true)
      takeBack()
    },
  )

  await t.test('the SDK can read request ids and rate limits, of errors too', async (step) => {
    const { count, request_id, values } = await local.call('headers', place)
    step.ok(count > 0)
    step.match(request_id, /^req_/)
    step.strictSame(values, ['9999', '15ms', '7'])
    const missing = { kind: 'NotFoundError', status: 404, code: 'model_not_found', remaining: '9999' }
    step.match(await local.call('failure', place), { ...missing, requestID: /^req_/ })
    const refused = { kind: 'AuthenticationError', status: 401, code: 'SOAKP_TOKEN_REFUSED' }
    step.match(await local.call('failure', { address, token: 'wrong' }), { ...refused, requestID: /^req_/ })
  })

  await t.test('a page of an origin that nobody allowed gets nothing', async (step) => {
    const stranger = await scene.openSdk('stranger.test')
    upstream.clear()
    logs.length = 0
    const nothing = { kind: 'APIConnectionError', message: 'Connection error.' }
    step.match(await stranger.call('failure', place), nothing)
    const attempt = `fetch('${address}/v1/models', { method: 'POST', body: 'x' }).then(() => 'read', () => 'nothing')`
    step.equal(await stranger.evaluate(attempt), 'nothing', 'nor the answer to a call that needs no preflight')
    step.equal(upstream.requests.length, 0)
    await eventually('both in the log', () => logs.length === 2)
    const refusal = { status: 403, code: 'SOAKP_ORIGIN_REFUSED' }
    step.match(
      logs.map((line) => JSON.parse(line)),
      [
        { method: 'OPTIONS', ...refusal },
        { method: 'POST', status: 401 },
      ],
    )
  })

  await t.test("a token bound to a page's origin works there and nowhere else", async (step) => {
    const app = await scene.openSdk('app.test')
    const before = await app.call('failure', place)
    step.equal(before.kind, 'APIConnectionError', 'as long as no token names the origin')
    const bound = { address, token: (await soakp.mint(keyId, { origins: [`http://app.test:${pages.port}`] })).token }
    step.match((await app.call('chat', bound)).join(''), /Good morning$/)
    upstream.clear()
    const refusal = { kind: 'PermissionDeniedError', status: 403, code: 'SOAKP_ORIGIN_REFUSED' }
    step.match(await local.call('failure', bound), refusal, 'another page')
    step.match(await app.call('failure', place), refusal, 'another token')
    const withoutPage = await soakp.call('GET', '/v1/models', { headers: { authorization: `Bearer ${bound.token}` } })
    isRefused(step, withoutPage, { status: 403, code: 'SOAKP_ORIGIN_REFUSED' })
    step.equal(upstream.requests.length, 0)
  })

  await t.test('soakp/browser gets a token when one is needed, and another when it is refused', async (step) => {
    const minted: string[] = []
    scene.mintBy(async () => {
      const { id, token: next } = await soakp.mint(keyId, { expires_in: 600 })
      minted.push(id)
      return next
    })
    step.strictSame(await local.call('renew', address, 4), [200, 200, 200, 200])
    step.equal(minted.length, 1, 'calls at the same time share it')
    await soakp.manage('DELETE', `/soakp/tokens/${minted[0]}`)
    upstream.clear()
    step.strictSame(await local.call('renew', address, 4), [200, 200, 200, 200])
    step.equal(minted.length, 2, 'calls that are refused at the same time, too')
    step.equal(upstream.requests.length, 4)
  })

  await t.test('Realtime works from an allowed page, and from no other', async (step) => {
    const said = await local.call('converse', place)
    step.match(said, { text: /You said: Good morning$/, code: 1000, protocol: 'realtime' })
    const stranger = await scene.openSdk('stranger.test')
    upstream.clear()
    step.match(await stranger.call('converse', place), { text: '', code: 1006 })
    const origins = [`http://app.test:${pages.port}`]
    const bound = { address, token: (await soakp.mint(keyId, { origins })).token }
    step.match(await local.call('converse', bound), { text: '', code: 1006 }, 'nor with the token of another page')
    step.equal(upstream.requests.length, 0)
    const app = await scene.openSdk('app.test')
    step.match(await app.call('converse', bound), { text: /Good morning$/, code: 1000 })
  })

  await t.test('the examples of docs/browser.md do what they say', async (step) => {
    const origin = `http://app.test:${pages.port}`
    const here = (code: string) =>
      code.replaceAll('https://ai.example.com', address).replaceAll('https://app.example.com', origin)
    const examples = await readExamples('test/page.test.ts', here)
    await mintByExample(step, scene, examples.get('token.js') ?? '')

    const shell = (script: string) => `<!doctype html><body><script type="module" src="${script}"></script>`
    const form = '<form><input name="question"> <button>Ask</button> <output></output></form>'
    const app = `const app = document.body.appendChild(document.createElement('div'))`
    const scripts: Record<string, string> = {
      plain: `document.body.innerHTML = '${form}'; await import('./main.js')`,
      react: `import { createRoot } from 'react-dom/client'; import { Chat } from './Chat.jsx'
        import { createElement } from 'react'; ${app}; createRoot(app).render(createElement(Chat))`,
      vue: `import { createApp } from 'vue'; import Chat from './Chat.vue'; ${app}; createApp(Chat).mount(app)`,
      svelte: `import { mount } from 'svelte'; import Chat from './Chat.svelte'; ${app}; mount(Chat, { target: app })`,
    }
    for (const [name, script] of Object.entries(scripts)) {
      pages.files.set(`/${name}.js`, await bundle(script, examples))
      pages.files.set(`/${name}.html`, shell(`/${name}.js`))
      await asks(step, browser, `${origin}/${name}.html`)
    }
    for (const name of ['main.js', 'ai.js']) pages.files.set(`/${name}`, examples.get(name) ?? '')
    pages.files.set('/vendor/soakp/index.js', await bundle(`export * from 'soakp/browser'`))
    pages.files.set('/import-map.html', examples.get('import-map.html') ?? '')
    await asks(step, browser, `${origin}/import-map.html`)
  })
})

/** Lets the app's server mint by the example, which is an app's server with SOAKP's authority in its trust store. */
async function mintByExample(t: Test, { soakp, keyId, mintBy }: Scene, code: string): Promise<void> {
  const settings = { SOAKP_ADMIN_TOKEN: ADMIN, SOAKP_KEY_ID: keyId }
  const roots = getCACertificates('default')
  Object.assign(process.env, settings)
  setDefaultCACertificates([...roots, soakp.authority ?? ''])
  t.teardown(() => {
    for (const name of Object.keys(settings)) delete process.env[name]
    setDefaultCACertificates(roots)
  })
  const { mintToken } = await import(`data:text/javascript,${encodeURIComponent(code)}`)
  mintBy(() => mintToken('user-17'))
}

/** Asks in the form of a page and waits for the whole answer. */
async function asks(t: Test, browser: Browser, url: string): Promise<void> {
  const page = await browser.open(url)
  const written = await page.evaluate(`(async () => {
    const next = () => new Promise(requestAnimationFrame)
    const deadline = Date.now() + 10_000
    while (document.querySelector('form') === null && Date.now() < deadline) await next()
    const input = document.querySelector('input')
    input.value = 'How are you?'
    input.dispatchEvent(new Event('input', { bubbles: true }))
    document.querySelector('button').click()
    const output = document.querySelector('output')
    while (!/You said: How are you\\?$/.test(output.textContent) && Date.now() < deadline) await next()
    return output.textContent
  })()`)
  t.match(written, /You said: How are you\?$/, url)
}
