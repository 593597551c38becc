import type { World } from './context.ts'
import type { Answer } from './faults.ts'

/** Lists where everything is (RFC 8555 section 7.1.1). */
export function directory({ origin, profiles, hasRenewalInfo, externalAccounts, behaviour }: World): Answer {
  const at = (path: string) => `${origin()}/${path}`
  const names = Object.keys(profiles)
  return {
    status: 200,
    body: {
      newNonce: at('new-nonce'),
      newAccount: at('new-account'),
      newOrder: at('new-order'),
      revokeCert: at('revoke'),
      keyChange: at('key-change'),
      ...(hasRenewalInfo && { renewalInfo: at('renewal') }),
      ...(behaviour.isStrange && { newSomething: { deep: [null] }, Zr8AkwQ: 'https://community.example/t/417' }),
      meta: {
        termsOfService: at('terms'),
        website: at('about'),
        caaIdentities: ['ca.test'],
        externalAccountRequired: Object.keys(externalAccounts).length > 0,
        ...(names.length > 0 && { profiles: Object.fromEntries(names.map((name) => [name, `The profile ${name}`])) }),
        ...(behaviour.isStrange && { moon: 'full' }),
      },
    },
  }
}
