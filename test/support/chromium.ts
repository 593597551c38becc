import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { temporaryFolder } from './soakp.ts'

const CHROMIUM = '/usr/bin/chromium'
const CERTUTIL = '/usr/bin/certutil'

/** Why tests in Chromium are skipped here, or false. */
export const chromiumIsMissing =
  existsSync(CHROMIUM) && existsSync(CERTUTIL) ? false : 'needs chromium and certutil (Debian: chromium, libnss3-tools)'

/** A page in Chromium. */
export interface Page {
  /** Evaluates JavaScript, waits for its promise and returns its value as JSON would have it. */
  // oxlint-disable-next-line typescript/no-explicit-any -- values of many shapes, which the test compares
  evaluate(expression: string): Promise<any>
  /** Calls a function that the page put into `globalThis.page`. */
  // oxlint-disable-next-line typescript/no-explicit-any -- see above
  call(name: string, ...values: unknown[]): Promise<any>
}

/** A running Chromium without a window. */
export interface Browser {
  /** Opens a page and waits until it and its scripts are loaded. */
  open(url: string): Promise<Page>
}

/**
 * Starts Chromium with a new profile that trusts the given authority (PEM), as a user's would who imported it. It finds
 * `localhost` and names under `.test` on this machine and nothing else anywhere. It ends with the test.
 */
export async function startChromium(t: Test, authority: string): Promise<Browser> {
  const folder = await temporaryFolder(t)
  await trust(folder, authority)
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    '--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost',
    `--user-data-dir=${join(folder, 'profile')}`,
    '--remote-debugging-pipe',
  ]
  const child = spawn(CHROMIUM, flags, {
    env: { ...process.env, HOME: folder },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
  })
  const ended = once(child, 'exit')
  const send = connect(child)
  t.teardown(async () => {
    // Not by a signal: its own children would still write to the folder that is about to go.
    void send('Browser.close').catch(() => undefined)
    await ended
  })

  return {
    async open(url) {
      const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
      const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true })
      const evaluate: Page['evaluate'] = async (expression) => {
        const wanted = { expression, awaitPromise: true, returnByValue: true }
        const { result, exceptionDetails } = await send('Runtime.evaluate', wanted, sessionId)
        if (exceptionDetails === undefined) return result.value
        throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      }
      const { errorText } = await send('Page.navigate', { url }, sessionId)
      if (errorText !== undefined) throw new Error(`${url}: ${errorText}`)
      await evaluate(`document.readyState === 'complete' || new Promise((done) => addEventListener('load', done))`)
      return {
        evaluate,
        call: (name, ...values) => evaluate(`page.${name}(...${JSON.stringify(values)})`),
      }
    },
  }
}

/** Makes the certificate database that Chromium reads on Linux: where a user's imported authorities are. */
async function trust(home: string, authority: string): Promise<void> {
  const run = promisify(execFile)
  const database = join(home, '.pki', 'nssdb')
  const file = join(home, 'authority.pem')
  await mkdir(database, { recursive: true })
  await writeFile(file, authority)
  await run(CERTUTIL, ['-d', `sql:${database}`, '-N', '--empty-password'])
  await run(CERTUTIL, ['-d', `sql:${database}`, '-A', '-t', 'C,,', '-n', 'soakp', '-i', file])
}

/** Commands of the DevTools protocol have answers of many shapes. */
// oxlint-disable-next-line typescript/no-explicit-any -- see above
type Send = (method: string, params?: object, sessionId?: string) => Promise<any>

/** Speaks the DevTools protocol over the pipes 3 and 4: JSON, each message ended by a zero byte. */
function connect(child: ChildProcess): Send {
  const [, , errors, commands, answers] = child.stdio as [null, null, Readable, Writable, Readable]
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  let lastId = 0
  let rest = ''
  let complaints = ''

  errors.setEncoding('utf8').on('data', (text: string) => (complaints = (complaints + text).slice(-2_000)))
  commands.on('error', () => undefined)
  answers.setEncoding('utf8').on('data', (text: string) => {
    const messages = (rest + text).split('\0')
    rest = messages.pop() ?? ''
    for (const message of messages) {
      const { id, result, error } = JSON.parse(message)
      if (error === undefined) waiting.get(id)?.resolve(result)
      else waiting.get(id)?.reject(new Error(error.message))
      waiting.delete(id)
    }
  })
  child.on('exit', () => {
    for (const { reject } of waiting.values()) reject(new Error(`Chromium has ended: ${complaints}`))
  })

  return (method, params = {}, sessionId) => {
    const id = ++lastId
    const answer = Promise.withResolvers<unknown>()
    waiting.set(id, answer)
    commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    return answer.promise
  }
}
