import { X509Certificate } from 'node:crypto'
import type { Test } from 'tap'
import { certificateIdOf } from '../../services/acme/certificate-id.ts'
import { createCertificateRequest } from '../../services/acme/certificate-request.ts'
import type { AuthorityOptions, TestAuthority } from './acme-authorities.ts'
import { profiles } from './acme-authorities.ts'
import { issue, never, newAccountKey, openClient, problemOf } from './acme-client.ts'

/** Starts an authority. */
export type StartAuthority = (t: Test, options?: AuthorityOptions) => Promise<TestAuthority>

/** Runs a test of what Debian's Pebble, which is of 2022, cannot do; with that one it says that it is left out. */
async function testCurrent(
  { isCurrent }: TestAuthority,
  parent: Test,
  title: string,
  body: (t: Test) => Promise<void>,
) {
  if (isCurrent) await parent.test(title, body)
  else parent.comment(`left out: ${title}`)
}

/** What every authority must let the client do. */
export async function testClient(parent: Test, start: StartAuthority): Promise<void> {
  const authority = await start(parent)
  const { records } = authority
  const account = { email: 'somebody@example.com' }

  async function signedIn(test: Test, accountKey = newAccountKey()) {
    const client = openClient(test, authority, { accountKey })
    await client.findOrMakeAccount(account, never)
    return client
  }

  await testCurrent(authority, parent, 'the directory tells what the authority offers', async (t) => {
    const directory = await openClient(t, authority).readDirectory(never)
    t.equal(directory.url, authority.directory)
    t.equal(directory.hasRenewalInfo, true)
    t.equal(directory.externalAccountRequired, false)
    t.same(Object.keys(directory.profiles).toSorted(), Object.keys(profiles).toSorted())
    t.ok(Math.abs(directory.clockOffsetMs ?? Infinity) < 60_000, 'both clocks are this machine’s')
  })

  await parent.test('an account is made once and found again by its key', async (t) => {
    const accountKey = newAccountKey()
    const client = openClient(t, authority, { accountKey })
    t.equal(await client.findAccount(never), undefined)
    const url = await client.findOrMakeAccount(account, never)
    t.match(url, /^https:/)
    t.equal(await client.findOrMakeAccount(account, never), url)
    t.equal(await openClient(t, authority, { accountKey }).findAccount(never), url)
  })

  await parent.test('an account is told another address, or none, unless it is no address', async (t) => {
    const client = await signedIn(t)
    await client.changeContact('another@soakp.test', never)
    await client.changeContact(undefined, never)
    const { problem } = await problemOf(client.changeContact('no address', never))
    t.match(problem?.type, /Contact|malformed/)
  })

  await parent.test('a client that has not asked for its account finds it when it needs it', async (t) => {
    const accountKey = newAccountKey()
    const { url } = await (await signedIn(t, accountKey)).createOrder({ names: ['x.soakp.test'] }, never)
    t.equal((await openClient(t, authority, { accountKey }).readOrder(url, never)).status, 'pending')
    const error = await openClient(t, authority)
      .readOrder(url, never)
      .catch((reason: unknown) => reason)
    t.match(error, { message: /knows no account of this key/ })
  })

  await testCurrent(
    authority,
    parent,
    'a name and its wildcard get a certificate of the profile, which may be replaced once',
    async (t) => {
      const client = await signedIn(t)
      const names = ['a.soakp.test', '*.a.soakp.test']
      const { chain, order } = await issue(client, records, { names, profile: 'shortlived' })
      t.same(order.names.toSorted(), names.toSorted())
      t.equal(order.profile, 'shortlived')
      const leaf = new X509Certificate(chain)
      t.same(leaf.subjectAltName?.split(', ').toSorted(), ['DNS:*.a.soakp.test', 'DNS:a.soakp.test'])
      t.ok(leaf.validToDate.getTime() - leaf.validFromDate.getTime() < 7 * 86_400_000)

      const replaces = certificateIdOf(chain)
      await issue(client, records, { names, profile: 'shortlived', replaces })
      const again = await problemOf(client.createOrder({ names, profile: 'shortlived', replaces }, never))
      t.equal(again.problem?.type, 'alreadyReplaced')
    },
  )

  await parent.test('an authorization shows what the record must hold, and can be given up', async (t) => {
    const client = await signedIn(t)
    const order = await client.createOrder({ names: ['*.b.soakp.test'], profile: 'classic' }, never)
    const [url = ''] = order.authorizations
    const authorization = await client.readAuthorization(url, never)
    t.match(authorization, { url, domain: 'b.soakp.test', isWildcard: true, status: 'pending' })
    t.match(authorization.challenge, { status: 'pending', value: /^[\w-]{43}$/, error: undefined })
    await client.deactivateAuthorization(url, never)
    t.equal((await client.readAuthorization(url, never)).status, 'deactivated')
  })

  await parent.test('a wrong record ends in a typed error of the challenge', async (t) => {
    const client = await signedIn(t)
    records.set('_acme-challenge.c.soakp.test', ['wrong'])
    const order = await client.createOrder({ names: ['c.soakp.test'], profile: 'classic' }, never)
    const [url = ''] = order.authorizations
    const { challenge } = await client.readAuthorization(url, never)
    await client.answerChallenge(challenge?.url ?? '', never)
    for (let status = 'pending'; status === 'pending';) ({ status } = await client.readAuthorization(url, never))
    const failed = await client.readAuthorization(url, never)
    t.match(failed, { status: 'invalid', challenge: { status: 'invalid', error: { type: 'unauthorized' } } })
    t.equal((await client.readOrder(order.url, never)).status, 'invalid')
    const { csr } = await createCertificateRequest(order.names)
    t.equal((await problemOf(client.finalize(order, csr, never))).problem?.type, 'orderNotReady')
  })

  await testCurrent(authority, parent, 'an unknown profile is refused by type', async (t) => {
    const client = await signedIn(t)
    const error = await problemOf(client.createOrder({ names: ['d.soakp.test'], profile: 'nope' }, never))
    t.match(error, { code: 'SOAKP_ACME_INVALID_PROFILE', answered: 400, message: /SOAKP_ACME_PROFILE/ })
  })

  await parent.test('a chain that leads to the preferred root is taken, else the default', async (t) => {
    const client = await signedIn(t)
    const { certificateUrl, chain } = await issue(client, records, { names: ['e.soakp.test'], profile: 'classic' })
    const [first = '', second = ''] = authority.rootNames
    const issuerOf = (pem: string) => new X509Certificate(pem.slice(pem.lastIndexOf('-----BEGIN'))).issuer
    t.match(issuerOf(await client.readCertificate(certificateUrl, never, first)), first)
    t.match(issuerOf(await client.readCertificate(certificateUrl, never, second)), second)
    t.equal(await client.readCertificate(certificateUrl, never, 'Nobody Root X9'), chain)
  })

  await testCurrent(authority, parent, 'the renewal window is read, whatever it is', async (t) => {
    const client = await signedIn(t)
    const { chain } = await issue(client, records, { names: ['f.soakp.test'], profile: 'classic' })
    const id = certificateIdOf(chain)
    const { validFromDate, validToDate } = new X509Certificate(chain)
    const window = await client.readRenewalWindow(id, never)
    t.ok(window !== undefined && window.start > validFromDate.getTime() && window.end < validToDate.getTime())
    t.equal(window?.retryAfterMs, 6 * 3_600_000)

    const [leaf = ''] = chain.split(/(?<=-----END CERTIFICATE-----\n)/)
    await authority.forceRenewalWindow(leaf, {
      suggestedWindow: { start: '2026-01-02T03:04:05Z', end: '2026-01-03T03:04:05.5+01:00' },
      explanationURL: 'https://ca.example/incident',
    })
    t.match(await client.readRenewalWindow(id, never), {
      start: Date.UTC(2026, 0, 2, 3, 4, 5),
      end: Date.UTC(2026, 0, 3, 2, 4, 5, 500),
      explanationUrl: 'https://ca.example/incident',
    })
    const backwards = { start: '2026-01-02T03:04:05Z', end: '2026-01-01T03:04:05Z' }
    for (const broken of [
      JSON.stringify({ suggestedWindow: backwards }),
      '{"suggestedWindow":',
      '{}',
      '{"suggestedWindow":{"start":"soon","end":"later"}}',
    ]) {
      await authority.forceRenewalWindow(leaf, broken)
      const error = await problemOf(client.readRenewalWindow(id, never))
      t.match(error, { problem: undefined, message: /no window for a renewal/ })
    }
    t.equal(await client.readRenewalWindow('aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE', never), undefined)
  })

  await parent.test('a certificate is revoked by its account, and by its own key without an account', async (t) => {
    const client = await signedIn(t)
    const byAccount = await issue(client, records, { names: ['g.soakp.test'], profile: 'classic' })
    await client.revoke(byAccount.chain, 4, never)
    t.ok(await authority.isRevoked(byAccount.chain))
    await client.revoke(byAccount.chain, 4, never)

    const byKey = await issue(client, records, { names: ['g.soakp.test'], profile: 'classic' })
    const stranger = openClient(t, authority)
    const other = await problemOf(stranger.revoke(byKey.chain, 1, never, newAccountKey()))
    t.equal(other.problem?.type, 'unauthorized')
    t.notOk(await authority.isRevoked(byKey.chain))
    await stranger.revoke(byKey.chain, 1, never, byKey.key)
    t.ok(await authority.isRevoked(byKey.chain))
    const window = await client.readRenewalWindow(certificateIdOf(byKey.chain), never)
    t.ok(!authority.isCurrent || (window?.end ?? Infinity) < Date.now(), 'it is to be renewed at once')
    t.ok((await problemOf(client.revoke(byAccount.chain, 7, never))).problem !== undefined, 'there is no reason 7')
  })

  await parent.test('the account goes on with a new key', async (t) => {
    const [oldKey, newKey] = [newAccountKey(), newAccountKey()]
    const client = openClient(t, authority, { accountKey: oldKey })
    const url = await client.findOrMakeAccount(account, never)
    await client.changeKey(newKey, never)
    t.equal((await client.createOrder({ names: ['h.soakp.test'], profile: 'classic' }, never)).status, 'pending')
    t.equal(await openClient(t, authority, { accountKey: newKey }).findAccount(never), url)
    t.equal(await openClient(t, authority, { accountKey: oldKey }).findAccount(never), undefined)
  })

  await parent.test('a key that another account has is not taken, and the old one goes on', async (t) => {
    const takenKey = newAccountKey()
    await signedIn(t, takenKey)
    const client = await signedIn(t)
    t.match(await problemOf(client.changeKey(takenKey, never)), { code: /^SOAKP_ACME_/ })
    t.equal((await client.createOrder({ names: ['i.soakp.test'], profile: 'classic' }, never)).status, 'pending')
  })
}

/** Gets certificates from an authority that calls three of ten good nonces bad. */
export async function testBadNonces(t: Test, start: StartAuthority): Promise<void> {
  const authority = await start(t, { badNonceShare: 0.3 })
  const client = openClient(t, authority)
  await client.findOrMakeAccount({ email: undefined }, never)
  for (let number = 0; number < 5; number += 1) {
    const { chain } = await issue(client, authority.records, { names: [`n${number}.soakp.test`], profile: 'classic' })
    t.equal(new X509Certificate(chain).subjectAltName, `DNS:n${number}.soakp.test`)
  }
}

/** What an authority with external accounts must let the client do. */
export async function testExternalAccounts(t: Test, start: StartAuthority): Promise<void> {
  const hmac = Buffer.alloc(32, 7).toString('base64url')
  const authority = await start(t, { externalAccounts: { 'kid-1': hmac } })
  const open = () => openClient(t, authority)
  const email = 'somebody@example.com'
  t.equal((await open().readDirectory(never)).externalAccountRequired, true)
  const none = await problemOf(open().findOrMakeAccount({ email }, never))
  t.match(none, { problem: { type: 'externalAccountRequired' }, message: /SOAKP_ACME_EAB_KID/ })
  const wrong = Buffer.alloc(32, 8).toString('base64url')
  for (const externalAccount of [
    { kid: 'kid-1', hmac: wrong },
    { kid: 'kid-2', hmac },
  ]) {
    const error = await problemOf(open().findOrMakeAccount({ email, externalAccount }, never))
    t.ok(error.problem !== undefined)
    t.notMatch(error.message, externalAccount.hmac)
  }
  const accountKey = newAccountKey()
  const client = openClient(t, authority, { accountKey })
  const url = await client.findOrMakeAccount({ email, externalAccount: { kid: 'kid-1', hmac } }, never)
  t.equal(await openClient(t, authority, { accountKey }).findOrMakeAccount({ email }, never), url, 'found without it')
}
