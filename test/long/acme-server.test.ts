import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'tap'
import type { Test } from 'tap'
import { startAcmeServer } from '../support/acme-server/index.ts'
import type { AcmeServer } from '../support/acme-server/index.ts'
import { needs } from '../support/process.ts'
import { temporaryFolder } from '../support/soakp.ts'
import { startTxtServer } from '../support/txt-server.ts'

// Our own authority is checked by clients that have nothing to do with us.

const execute = promisify(execFile)
const KID = 'kid-1'
const HMAC = Buffer.alloc(32, 7).toString('base64url')
const names = ['a.soakp.test', '*.a.soakp.test', 'b.soakp.test']

interface Place {
  readonly folder: string
  readonly server: AcmeServer
  /** A program that adds a TXT value (its second argument) to a name (its first). */
  readonly addRecord: string
}

/** Starts an authority that sees what a program writes into files. */
async function prepare(t: Test): Promise<Place> {
  const folder = await temporaryFolder(t)
  const addRecord = join(folder, 'add-record')
  await writeFile(addRecord, `#!/bin/sh\necho "$2" >> "${folder}/record-\${1%.}"\n`, { mode: 0o755 })
  let asked = 0
  const server = await startAcmeServer(t, {
    // Certbot tries no more than twice.
    random: () => (asked++ % 7 === 0 ? 0 : 0.5),
    rootCount: 2,
    externalAccounts: { [KID]: HMAC },
    behaviour: { badNonceShare: 0.1, authorizationReads: 1, orderReads: 1, isStrange: true },
    lookup: async (name) => (await readFile(join(folder, `record-${name}`), 'utf8')).split('\n').filter(Boolean),
  })
  await writeFile(join(folder, 'trusted.pem'), server.roots ?? '')
  return { folder, server, addRecord }
}

async function assertChain(t: Test, { folder, server }: Place, file: string, root: number): Promise<void> {
  const rootFile = join(folder, `root-${root}.pem`)
  await writeFile(rootFile, server.issuingRoots[root] ?? '')
  const { stdout } = await execute('openssl', ['verify', '-CAfile', rootFile, '-untrusted', file, file])
  t.match(stdout, /: OK/)
  const issued = server.find(await readFile(file, 'utf8'))
  t.same(issued.names, names.toSorted())
}

test('certbot gets, renews and revokes a certificate', { skip: needs('certbot') }, async (t) => {
  const place = await prepare(t)
  const { folder, server, addRecord } = place
  const hook = join(folder, 'hook')
  await writeFile(hook, `#!/bin/sh\n"${addRecord}" "_acme-challenge.$CERTBOT_DOMAIN" "$CERTBOT_VALIDATION"\n`, {
    mode: 0o755,
  })
  const common = ['-n', '--config-dir', folder, '--work-dir', folder, '--logs-dir', folder]
  const certbot = (...words: readonly string[]) =>
    execute('certbot', [...words, ...common], {
      env: { PATH: process.env['PATH'], REQUESTS_CA_BUNDLE: join(folder, 'trusted.pem') },
    })
  await certbot(
    'certonly',
    '--server',
    server.directory,
    '--agree-tos',
    '--email',
    'somebody@example.com',
    '--no-eff-email',
    '--eab-kid',
    KID,
    '--eab-hmac-key',
    HMAC,
    '--manual',
    '--preferred-challenges',
    'dns',
    '--manual-auth-hook',
    hook,
    '--preferred-chain',
    'SOAKP Test Root 2',
    '--cert-name',
    'it',
    ...names.flatMap((name) => ['-d', name]),
  )
  const file = join(folder, 'live', 'it', 'fullchain.pem')
  await assertChain(t, place, file, 1)
  const first = server.find(await readFile(file, 'utf8'))

  await certbot('renew', '--force-renewal', '--no-random-sleep-on-renew')
  await assertChain(t, place, file, 1)
  const second = server.find(await readFile(file, 'utf8'))
  t.not(second.serial, first.serial)

  await certbot(
    'revoke',
    '--server',
    server.directory,
    '--cert-name',
    'it',
    '--reason',
    'superseded',
    '--no-delete-after-revoke',
  )
  t.same([first.revoked, second.revoked?.reason], [undefined, 4])
  t.equal(server.store.accounts.length, 1)
})

test('lego gets, renews and revokes a certificate', { skip: needs('lego') }, async (t) => {
  const place = await prepare(t)
  const { folder, server, addRecord } = place
  // It asks before each proof, and is content with any answer.
  const { host: resolver } = await startTxtServer(t)
  const exec = join(folder, 'exec')
  await writeFile(exec, `#!/bin/sh\n[ "$1" = present ] && "${addRecord}" "$2" "$3"\nexit 0\n`, { mode: 0o755 })
  const lego = (...words: readonly string[]) =>
    execute(
      'lego',
      [
        '--server',
        server.directory,
        '--path',
        folder,
        '--email',
        'somebody@example.com',
        '--accept-tos',
        '--eab',
        '--kid',
        KID,
        '--hmac',
        HMAC,
        '--dns',
        'exec',
        '--dns.disable-cp',
        '--dns.resolvers',
        resolver,
        ...names.toSorted().flatMap((name) => ['-d', name]),
        ...words,
      ],
      {
        env: {
          PATH: process.env['PATH'],
          EXEC_PATH: exec,
          EXEC_POLLING_INTERVAL: '1',
          EXEC_SEQUENCE_INTERVAL: '1',
          LEGO_CA_CERTIFICATES: join(folder, 'trusted.pem'),
        },
      },
    )
  await lego('run')
  // It names files after the first name, which in a certificate is the wildcard.
  const file = join(folder, 'certificates', '_.a.soakp.test.crt')
  await assertChain(t, place, file, 0)
  const first = server.find(await readFile(file, 'utf8'))

  await lego('renew', '--days', '10000', '--no-random-sleep', '--preferred-chain', 'SOAKP Test Root 2')
  await assertChain(t, place, file, 1)
  await lego('revoke', '--keep')
  const second = server.find(await readFile(file, 'utf8'))
  t.not(second.serial, first.serial)
  t.ok(second.revoked !== undefined && first.revoked === undefined)
})
