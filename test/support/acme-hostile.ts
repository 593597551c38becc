import { X509Certificate } from 'node:crypto'
import type { Test } from 'tap'
import { AcmeError } from '../../services/acme/error.ts'
import { createCertificateRequest } from '../../services/acme/certificate-request.ts'
import { changed, startAcmeServer } from './acme-server/index.ts'
import type { AcmeServer, Answer } from './acme-server/index.ts'
import { issue, never, newAccountKey, openClient } from './acme-client.ts'
import { createRandom, mutateDocument, mutateText } from './acme-mutations.ts'

const STATUSES = [200, 201, 204, 302, 400, 403, 404, 409, 429, 500, 503]
const HEADERS = ['location', 'replay-nonce', 'retry-after', 'link', 'date', 'content-type']
const VALUES = [
  '',
  'x',
  'http://127.0.0.1:1/',
  '-1',
  '9'.repeat(400),
  '<>;rel="alternate"',
  '<x>;rel=alternate,'.repeat(500),
]

function mutate(answer: Answer, random: () => number): Answer {
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item
  const how = random()
  if (how < 0.15) return { ...answer, status: pick(STATUSES) }
  if (how < 0.35) return { ...answer, headers: { ...answer.headers, [pick(HEADERS)]: pick(VALUES) } }
  if (typeof answer.body === 'object' && how < 0.85) {
    return { ...answer, body: JSON.stringify(mutateDocument(answer.body, random)) }
  }
  const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? {})
  return { ...answer, body: mutateText(text, random) }
}

const isTime = (value: unknown) => value === undefined || (typeof value === 'number' && Number.isFinite(value))
const isText = (value: unknown) => value === undefined || typeof value === 'string'
const isUrl = (value: unknown) => typeof value === 'string' && URL.canParse(value)

/** The calls that read something, each with what is right to return. */
async function prepareReads(t: Test, server: AcmeServer, accountKey: string) {
  const client = openClient(t, server, { accountKey })
  await client.findOrMakeAccount({ email: undefined }, never)
  const { chain, certificateUrl } = await issue(client, server.records, { names: ['a.soakp.test'] })
  const order = await client.createOrder({ names: ['b.soakp.test'] }, never)
  const [authorization = ''] = order.authorizations
  const { csr } = await createCertificateRequest(order.names)
  const isOrder = (read: typeof order) =>
    ['pending', 'ready', 'processing', 'valid', 'invalid'].includes(read.status) &&
    [...read.names, ...read.authorizations, read.finalize, read.url].every((each) => typeof each === 'string') &&
    [read.expires, read.retryAfterMs].every(isTime) &&
    [read.certificate, read.profile, read.error?.detail].every(isText)
  const open = () => openClient(t, server, { accountKey })
  return [
    async () => Object.values((await open().readDirectory(never)).profiles).every(isText),
    async () => isUrl((await open().findAccount(never)) ?? 'https://x'),
    async () => isOrder(await open().createOrder({ names: ['b.soakp.test'] }, never)),
    async () => isOrder(await open().readOrder(order.url, never)),
    async () => isOrder(await open().finalize(order, csr, never)),
    async () => {
      const { domain, status, challenge, retryAfterMs } = await open().readAuthorization(authorization, never)
      return (
        isText(domain) &&
        isText(status) &&
        isTime(retryAfterMs) &&
        /^[\w-]{43}$/.test(challenge?.value ?? '-'.repeat(43))
      )
    },
    async () => new X509Certificate(await open().readCertificate(certificateUrl, never, 'Other Root')).raw.length > 0,
    async () => {
      const window = await open().readRenewalWindow(server.find(chain).renewalId, never)
      return (
        window === undefined ||
        (window.end > window.start && window.retryAfterMs >= 60_000 && window.retryAfterMs <= 86_400_000)
      )
    },
  ]
}

/** Asks with answers that are changed, each seed in its own way: a call ends with a right value or an `AcmeError`. */
export async function testHostileAnswers(
  t: Test,
  seeds: { readonly from: number; readonly to: number },
): Promise<void> {
  const server = await startAcmeServer(t, { hasTls: false, rootCount: 2 })
  const reads = await prepareReads(t, server, newAccountKey())
  const faults: string[] = []
  let [values, errors] = [0, 0]
  for (let seed = seeds.from; seed <= seeds.to; seed += 1) {
    const random = createRandom(seed * 7919)
    const read = reads[seed % reads.length]
    server.fail(
      'any',
      changed((answer) => mutate(answer, random)),
      { times: 1 + Math.floor(random() * 2), skip: Math.floor(random() * 4) },
    )
    try {
      if ((await read?.()) !== true) faults.push(`seed ${seed}: a wrong value`)
      values += 1
    } catch (error) {
      if (!(error instanceof AcmeError)) faults.push(`seed ${seed}: ${String(error)}`)
      errors += 1
    }
    server.heal()
  }
  t.same(faults, [])
  t.ok(values > 50 && errors > 50, `${values} values, ${errors} errors`)
}
