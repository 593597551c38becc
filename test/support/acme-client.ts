import { generateKeyPairSync } from 'node:crypto'
import type { Test } from 'tap'
import { createCertificateRequest } from '../../services/acme/certificate-request.ts'
import { createAcmeClient } from '../../services/acme/client.ts'
import type { AcmeClientOptions } from '../../services/acme/client.ts'
import { AcmeError } from '../../services/acme/error.ts'
import type { AcmeClient, AcmeOrder, OrderRequest } from '../../services/acme/index.ts'
import { systemClock } from '../../services/clock.ts'

/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal

/** Makes an account key, PEM. */
export function newAccountKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Creates a client that is closed after the test. */
export function openClient(
  t: Test,
  server: { readonly directory: string; readonly roots: string | undefined },
  options: Partial<AcmeClientOptions> = {},
): AcmeClient {
  const client = createAcmeClient({
    directory: server.directory,
    certificates: server.roots,
    accountKey: newAccountKey(),
    clock: systemClock,
    timeoutMs: 20_000,
    ...options,
  })
  t.teardown(() => client.close())
  return client
}

/** What was issued, PEM. */
export interface Issued {
  readonly order: AcmeOrder
  readonly certificateUrl: string
  readonly chain: string
  readonly key: string
}

/** Makes an order and goes the whole way to its certificate, writing TXT values into `records`. */
export async function issue(
  client: AcmeClient,
  records: Map<string, readonly string[]>,
  request: OrderRequest,
): Promise<Issued> {
  const order = await client.createOrder(request, never)
  await proveAll(client, records, order)
  const { csr, key } = await createCertificateRequest(order.names)
  await client.finalize(order, csr, never)
  const done = await until(
    () => client.readOrder(order.url, never),
    ({ status }) => status !== 'processing',
  )
  if (done.certificate === undefined) throw new Error(`The order is ${done.status}: ${JSON.stringify(done.error)}`)
  return {
    order: done,
    certificateUrl: done.certificate,
    chain: await client.readCertificate(done.certificate, never),
    key,
  }
}

/** Proves all names of an order. */
export async function proveAll(
  client: AcmeClient,
  records: Map<string, readonly string[]>,
  { authorizations }: AcmeOrder,
): Promise<void> {
  const open = await Promise.all(authorizations.map((url) => client.readAuthorization(url, never)))
  for (const { domain, challenge, status } of open) {
    if (status !== 'pending' || challenge === undefined) continue
    const name = `_acme-challenge.${domain}`
    records.set(name, [...(records.get(name) ?? []), challenge.value])
  }
  for (const { url, challenge, status } of open) {
    if (status !== 'pending' || challenge === undefined) continue
    await client.answerChallenge(challenge.url, never)
    await until(
      () => client.readAuthorization(url, never),
      (read) => read.status !== 'pending',
    )
  }
}

/** Asks until the answer is as wanted. */
export async function until<Value>(ask: () => Promise<Value>, isWanted: (value: Value) => boolean): Promise<Value> {
  for (;;) {
    const value = await ask()
    if (isWanted(value)) return value
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Waits for a call to be refused and returns the error. */
export async function problemOf(call: Promise<unknown>): Promise<AcmeError> {
  const error = await call.then(
    () => new Error('The call was expected to fail.'),
    (reason: unknown) => reason,
  )
  if (error instanceof AcmeError) return error
  throw error
}
