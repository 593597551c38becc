import { inspect } from 'node:util'
import type { Test } from 'tap'
import { dnsProviders } from '../../../services/dns-variables.ts'
import { openProvider } from '../../../services/dns/index.ts'
import type { DnsProvider, ProviderName, ProviderOptions } from '../../../services/dns/index.ts'
import type { Secret } from '../../../services/secret.ts'
import { optionsOf } from '../dns-benches/bench.ts'
import { failureOf } from './subject.ts'

/** Tests that a provider without its variables does not open, and says what to set. */
export async function testMissingCredentials(t: Test, name: ProviderName): Promise<void> {
  const error = await failureOf(openProvider(name, optionsOf({})))
  t.match(error, { code: 'SOAKP_DNS_CREDENTIALS', kind: 'credentials', provider: name })
  const own = Object.keys(dnsProviders[name].variables)
  t.ok(
    own.some((variable) => error.message.includes(variable)),
    'one of its variables is named',
  )
}

/** Tests that a service's refusal of credentials is told by every call, and that nothing secret is. */
export async function testWrongCredentials(t: Test, name: ProviderName, wrong: ProviderOptions): Promise<void> {
  const provider = await openProvider(name, wrong)
  t.teardown(async () => provider.close?.())
  for (const call of callsOf(provider)) {
    const error = await failureOf(call())
    t.match(error, { code: 'SOAKP_DNS_CREDENTIALS', kind: 'credentials', provider: name })
    t.match(error.message, /^[A-Z][^]{20,600}[.?]$/, 'a sentence')
    t.match(error.message, /[A-Z]\w+_\w+|polic/, 'that says where to look')
    const shown = inspect(error, { depth: 9, showHidden: true }) + String(error.stack)
    const secrets = Object.entries<Secret>(wrong.credentials).filter(([key]) => isSecret(name, key))
    t.ok(secrets.length > 0)
    for (const [key, secret] of secrets) {
      t.notOk(
        formsOf(secret.reveal()).some((form) => shown.includes(form)),
        `${key} is not in message, cause or stack`,
      )
    }
  }
}

function callsOf(provider: DnsProvider): readonly (() => Promise<unknown>)[] {
  const signal = AbortSignal.timeout(20_000)
  const place = { zone: { name: 'example.com', id: 'Z1' }, name: '_acme-challenge.wrong.example.com' }
  const record = { ...place, value: 'value' }
  const find = provider.findZone === undefined ? [] : [async () => provider.findZone?.(place.name, signal)]
  if (provider.writes === 'values') {
    return [...find, async () => provider.add(record, signal), async () => provider.remove(record, signal)]
  }
  const read = async () => provider.read(place.zone, place.name, signal)
  return [...find, read, async () => provider.write(place, ['value'], undefined, signal)]
}

function isSecret(name: ProviderName, key: string): boolean {
  const variable = (dnsProviders[name].variables as Readonly<Record<string, object>>)[key]
  return variable !== undefined && 'isSecret' in variable
}

/** A secret as it is, in a URL, and in the middle of something in base64. */
function formsOf(secret: string): readonly string[] {
  const shifted = ['', 'x', 'xx'].map((start) =>
    Buffer.from(start + secret)
      .toString('base64')
      .slice(4, -4),
  )
  return [secret, encodeURIComponent(secret), ...shifted]
}
