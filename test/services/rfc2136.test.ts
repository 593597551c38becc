import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { systemClock } from '../../services/clock.ts'
import { encodeName } from '../../services/dns-wire/names.ts'
import { readServerAddress } from '../../services/dns-wire/server-address.ts'
import { readKeyFile } from '../../services/dns-wire/tsig-key-file.ts'
import { createUpdateClient } from '../../services/dns-wire/update-client.ts'
import { readUpdateSettings } from '../../services/dns-wire/update-settings.ts'
import { createProvider } from '../../services/dns/rfc2136.ts'
import { Secret } from '../../services/secret.ts'
import { frame, plain, startFakeNameServer, withError } from '../support/fake-name-server.ts'
import type { Answer } from '../support/fake-name-server.ts'
import { temporaryFolder } from '../support/soakp.ts'

const SECRET = Buffer.from('a secret of the tests').toString('base64')
const KEYED = { RFC2136_TSIG_KEY: 'key.test', RFC2136_TSIG_SECRET: SECRET }
const record = { zone: { name: 'soakp.test' }, name: '_acme-challenge.soakp.test', value: 'value' }
const { signal } = new AbortController()

const secrets = (variables: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, new Secret(value)]))

/** Opens the provider for a name server that answers as told; counts the messages it got. */
async function open(t: Test, answer: Answer, variables: Readonly<Record<string, string>> = KEYED, host = '127.0.0.1') {
  const server = await startFakeNameServer(t, answer, host)
  const credentials = secrets({ RFC2136_NAMESERVER: server.host, ...variables })
  const provider = await createProvider({ credentials, apiUrl: undefined, clock: systemClock })
  return { provider, messages: () => server.messages(), host: server.host }
}

test('each code of a server becomes an error that says what to do', async (t) => {
  const codes = [
    [1, 'refused', /FORMERR/],
    [2, 'unreachable', /SERVFAIL.*log/],
    [4, 'refused', /NOTIMP.*RFC2136_NAMESERVER/],
    [5, 'credentials', /REFUSED.*update-policy/],
    [6, 'refused', /code 6/],
    [9, 'credentials', /does not take the key key\.test \(NOTAUTH\)/],
    [10, 'zone', /NOTZONE/],
  ] as const
  for (const [rcode, kind, message] of codes) {
    const { provider } = await open(t, (request) => frame(plain(request, rcode)))
    await t.rejects(provider.remove(record, signal), { provider: 'rfc2136', kind, message })
  }
  const errors = [
    [16, /BADSIG/],
    [17, /BADKEY/],
    [18, /BADTIME/],
    [22, /BADTRUNC/],
  ] as const
  for (const [error, message] of errors) {
    const { provider, messages } = await open(t, (request) => frame(withError(request, 9, error)))
    await t.rejects(provider.remove(record, signal), { kind: 'credentials', message })
    t.equal(messages(), 1, 'what nobody signed corrects no clock')
  }
})

test('with a key, an answer without a signature is never taken for a success', async (t) => {
  const answers: readonly Answer[] = [
    (request) => frame(plain(request, 0)),
    (request) => frame(plain(request, 3)),
    (request) => frame(withError(request, 0, 0)),
    // The request itself, as a response: its signature is right, but for another message.
    (request) =>
      frame(Buffer.concat([request.subarray(0, 2), Buffer.of(request.readUInt8(2) | 0x80), request.subarray(3)])),
  ]
  for (const answer of answers) {
    const { provider } = await open(t, answer)
    await t.rejects(provider.remove(record, signal), { name: 'SoakpError', provider: 'rfc2136' })
    await t.rejects(provider.add(record, signal), { name: 'SoakpError', provider: 'rfc2136' })
    const mute = { kind: 'unreachable', provider: 'rfc2136', message: /./ }
    await t.rejects(async () => void (await provider.findZone?.('soakp.test', signal)), mute)
    await t.rejects(async () => void (await provider.list?.(record.zone, record.name, signal)), mute)
  }
})

test('what is no answer to the message is refused, and no connection outlives it', async (t) => {
  const answers: readonly [Answer, RegExp][] = [
    [(request) => frame(Buffer.concat([Buffer.of(0, 0), plain(request, 0).subarray(2)])), /not asked|cannot be used/],
    [(request) => frame(Buffer.from(request)), /not asked/],
    [() => frame(Buffer.alloc(0)), /shorter than its header/],
    [(request) => frame(Buffer.concat([plain(request, 0), Buffer.of(0)])), /goes on/],
    [(_, socket) => void socket.destroy(), /hung up|ECONNRESET/],
    [(request, socket) => void socket.end(frame(plain(request, 0)).subarray(0, 8)), /hung up/],
  ]
  for (const [answer, message] of answers) {
    const { provider } = await open(t, answer, {})
    await t.rejects(provider.remove(record, signal), { kind: 'unreachable', message })
  }
})

test('a server that is silent, or sends byte by byte, is given up in time and at once when aborted', async (t) => {
  const drip: Answer = (_, socket) => {
    const timer = setInterval(() => socket.write(Buffer.of(1)), 10)
    socket.on('close', () => clearInterval(timer))
    return undefined
  }
  for (const answer of [() => undefined, drip]) {
    const { provider, host } = await open(t, answer)
    const settings = await readUpdateSettings(secrets({ RFC2136_NAMESERVER: host }))
    const hasty = createUpdateClient({ ...settings, timeoutMs: 50 }, systemClock)
    await t.rejects(hasty.ask(record.name, 16, signal), { kind: 'unreachable', message: /within 0\.05 seconds/ })
    const controller = new AbortController()
    const rejected = t.rejects(provider.remove(record, controller.signal), { message: 'stop' })
    controller.abort(new Error('stop'))
    await rejected
    await t.rejects(provider.remove(record, controller.signal), { message: 'stop' })
  }
})

test('a name server is reached by name, by IPv6 address, and says so when it is not', async (t) => {
  for (const host of ['127.0.0.1', '::1', 'localhost']) {
    const { provider, messages } = await open(t, (request) => frame(plain(request, 0)), {}, host)
    await provider.remove(record, signal)
    t.equal(messages(), 1, host)
  }
  const nowhere = await open(t, () => undefined, { RFC2136_NAMESERVER: 'nowhere.invalid' })
  await t.rejects(nowhere.provider.remove(record, signal), { kind: 'unreachable', message: /nowhere\.invalid:53/ })
})

test('a zone is taken for the name server only where it says so with authority, for this name', async (t) => {
  const soa = (owner: string) => Buffer.concat([encodeName(owner), Buffer.from('000600010000003c0000', 'hex')])
  const cname = Buffer.concat([encodeName('x.deep.soakp.test'), Buffer.from('000500010000003c000100', 'hex')])
  const AUTHORITATIVE = 0x0400
  const find = async (flags: number, records: readonly Buffer[]) => {
    const { provider } = await open(
      t,
      (request) => {
        // Only the whole name is known: a question for a name above it has fewer labels.
        if (!request.includes(encodeName('x.deep.soakp.test'))) return frame(plain(request, 5))
        const response = Buffer.concat([plain(request, 0), ...records])
        response.writeUInt16BE(response.readUInt16BE(2) | flags, 2)
        response.writeUInt16BE(records.length, 6)
        return frame(response)
      },
      {},
    )
    return (await provider.findZone?.('x.deep.soakp.test', signal))?.name
  }
  t.equal(await find(AUTHORITATIVE, [soa('Deep.soakp.test')]), 'deep.soakp.test')
  t.equal(await find(0, [soa('deep.soakp.test')]), undefined, 'a cache')
  t.equal(await find(AUTHORITATIVE, [soa('other.test')]), undefined, 'a zone that does not hold the name')
  t.equal(await find(AUTHORITATIVE, [soa('')]), undefined, 'the root')
  t.equal(await find(AUTHORITATIVE, [cname, soa('soakp.test')]), undefined, 'the zone that an alias leads to')
})

test('zones that are named are not asked for', async (t) => {
  const zones = { RFC2136_ZONES: 'soakp.test, Deep.Soakp.test.' }
  const { provider, messages } = await open(t, () => undefined, zones)
  t.same(await provider.findZone?.('x.deep.soakp.test', signal), { name: 'deep.soakp.test' })
  t.same(await provider.findZone?.('soakp.test', signal), { name: 'soakp.test' })
  t.equal(await provider.findZone?.('badsoakp.test', signal), undefined)
  t.equal(messages(), 0)
})

test('settings that cannot be are refused with a sentence and without the secret', async (t) => {
  const base = { RFC2136_NAMESERVER: 'ns1.soakp.test' }
  const faults = [
    [{}, /Set RFC2136_NAMESERVER/],
    [{ RFC2136_NAMESERVER: ' ' }, /Set RFC2136_NAMESERVER/],
    [{ RFC2136_NAMESERVER: 'http://ns1' }, /RFC2136_NAMESERVER must be/],
    [{ ...base, RFC2136_TSIG_KEY: 'key' }, /Set RFC2136_TSIG_SECRET/],
    [{ ...base, RFC2136_TSIG_SECRET: SECRET }, /Set RFC2136_TSIG_KEY/],
    [{ ...base, ...KEYED, RFC2136_TSIG_SECRET: 'not base64!' }, /not base64/],
    [{ ...base, ...KEYED, RFC2136_TSIG_ALGORITHM: 'hmac-md5' }, /HMAC-MD5 is broken/],
    [{ ...base, ...KEYED, RFC2136_TSIG_ALGORITHM: 'hmac-md5.sig-alg.reg.int.' }, /HMAC-MD5 is broken/],
    [{ ...base, ...KEYED, RFC2136_TSIG_ALGORITHM: 'sha3' }, /one of hmac-sha1, .*hmac-sha512/],
    [{ ...base, RFC2136_TSIG_FILE: '/nowhere/tsig.key' }, /\/nowhere\/tsig\.key/],
    [{ ...base, ...KEYED, RFC2136_TSIG_FILE: '/nowhere/tsig.key' }, /not both/],
    [{ ...base, RFC2136_TTL: '-1' }, /RFC2136_TTL must be a number from 0/],
    [{ ...base, RFC2136_ZONES: 'a..b' }, /empty label/],
  ] as const
  for (const [variables, message] of faults) {
    await t.rejects(readUpdateSettings(secrets(variables)), { kind: 'credentials', message })
  }
})

test('a key file of tsig-keygen is read, and what is none is told', async (t) => {
  const text = `# made today\nkey "Key.Test." {\n\talgorithm hmac-sha512; // long\n\tsecret "${SECRET}";\n};\n`
  t.same(readKeyFile(text), { name: 'Key.Test.', algorithm: 'hmac-sha512', secret: SECRET })
  t.same(readKeyFile(`key k{secret ${SECRET};}`), { name: 'k', algorithm: undefined, secret: SECRET })
  const path = join(await temporaryFolder(t), 'tsig.key')
  await writeFile(path, text)
  const { key } = await readUpdateSettings(secrets({ RFC2136_NAMESERVER: '::1', RFC2136_TSIG_FILE: path }))
  t.match(key, { name: 'key.test', algorithm: 'hmac-sha512' })
  t.equal(key?.secret.reveal(), SECRET)
  for (const [broken, message] of [
    ['', /no key/],
    [text + text, /several/],
    ['zone "soakp.test" { type primary; };', /not a key file/],
    ['key "a" { algorithm hmac-sha256; ', /middle/],
    ['key "a" { algorithm hmac-sha256; };', /without a secret/],
    ['key "a', /not a key file/],
  ] as const) {
    t.throws(() => readKeyFile(broken), { code: 'SOAKP_TSIG_KEY_FILE', message })
  }
})

test('addresses of servers and names have their limits', (t) => {
  const read = (text: string) => readServerAddress(text, 'X')
  t.same(read('ns1.soakp.test'), { host: 'ns1.soakp.test', port: 53 })
  t.same(read('192.0.2.1:5353'), { host: '192.0.2.1', port: 5353 })
  t.same(read('[2001:db8::1]:5353'), { host: '2001:db8::1', port: 5353 })
  t.same(read('2001:db8::1'), { host: '2001:db8::1', port: 53 })
  t.same(read('[::1]'), { host: '::1', port: 53 })
  for (const text of [
    '',
    ':53',
    'a:0',
    'a:65536',
    '[a]',
    '[127.0.0.1]',
    '1.2.3',
    '1.2.3.256',
    'a b',
    'a/b',
    '[::1',
    'a..b',
  ]) {
    t.throws(() => read(text), { code: 'SOAKP_DNS_SERVER' }, text)
  }
  t.equal(encodeName('a.\\046\\.\\\\.b.').toString('hex'), '0161032e2e5c016200')
  t.equal(encodeName('.').toString('hex'), '00')
  t.equal(encodeName(`${'a'.repeat(63)}.`.repeat(3) + 'a'.repeat(61)).length, 255)
  for (const name of [
    `${'a'.repeat(63)}.`.repeat(3) + 'a'.repeat(62),
    'a'.repeat(64),
    'a..b',
    '.a',
    'a\\',
    '\\256',
    '\\1',
  ]) {
    t.throws(() => encodeName(name), { code: 'SOAKP_DNS_MESSAGE' }, name.slice(0, 20))
  }
  t.end()
})
