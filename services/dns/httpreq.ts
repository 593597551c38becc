import { readCredentials } from '../dns-core/credentials.ts'
import { createHttpApi } from '../dns-core/http-api.ts'
import type { HttpAnswer } from '../http-exchange.ts'
import { Secret } from '../secret.ts'
import type { AppendingProvider, ProviderOptions, TxtRecord } from './index.ts'

/**
 * Creates the provider that posts to a program of the operator's, as lego's `httpreq` does: `POST /present` and
 * `POST /cleanup` with `{"fqdn": "_acme-challenge.example.com.", "value": "…"}`. Both may come more than once.
 */
export function createProvider(options: ProviderOptions): AppendingProvider {
  const credentials = readCredentials('httpreq', 'httpreq', options)
  const endpoint = credentials.need('HTTPREQ_ENDPOINT').reveal().replace(/\/+$/, '')
  const mode = credentials.find('HTTPREQ_MODE')?.reveal()
  if (mode !== undefined) credentials.fail('HTTPREQ_MODE must be empty, for only a name and a value are posted.')
  const user = credentials.find('HTTPREQ_USERNAME')
  const password = credentials.find('HTTPREQ_PASSWORD')
  const login = `${user?.reveal() ?? ''}:${password?.reveal() ?? ''}`
  const hasLogin = user !== undefined || password !== undefined

  const api = createHttpApi({
    provider: 'httpreq',
    title: 'The program at HTTPREQ_ENDPOINT',
    // SOAKP_DNS_API_URL is another provider's: it must not get these credentials.
    baseUrl: endpoint,
    clock: options.clock,
    secrets: [user, password, new Secret(login)],
    authorize: () => (hasLogin ? { authorization: `Basic ${Buffer.from(login).toString('base64')}` } : {}),
    readFault: ({ text }: HttpAnswer) => ({ said: text }),
    credentialsAdvice: 'Are HTTPREQ_USERNAME and HTTPREQ_PASSWORD right?',
  })

  async function post(path: string, { name, value }: TxtRecord, signal: AbortSignal): Promise<void> {
    const body = { type: 'application/json', text: JSON.stringify({ fqdn: `${name}.`, value }) }
    await api.call('POST', path, { signal, body })
  }

  return {
    writes: 'values',
    valuesPerName: 'many',
    add: (record, signal) => post('/present', record, signal),
    remove: (record, signal) => post('/cleanup', record, signal),
    close: () => api.close(),
  }
}
