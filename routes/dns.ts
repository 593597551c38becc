import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { CredentialAnswer, CredentialBody, ProvidersAnswer, VariableParams } from './certificate-schemas.ts'
import { describe } from './schemas.ts'

/** Lists DNS providers, and stores and removes their credentials. No route ever answers with one. */
const dns: FastifyPluginAsyncTypebox = async (app) => {
  const { dnsCredentials } = app.unsealed
  const route = (summary: string) => describe('dns', 'admin', summary)

  app.get(
    '/dns/providers',
    {
      schema: { ...route('List DNS providers and the variables that each reads'), response: { 200: ProvidersAnswer } },
    },
    async () => {
      const providers = await dnsCredentials.list()
      const data = providers.map(({ variables, ...rest }) => ({
        object: 'dns.provider' as const,
        ...rest,
        variables: [...variables],
      }))
      return { object: 'list' as const, data, has_more: false as const }
    },
  )

  app.put(
    '/dns/credentials/:name',
    {
      schema: {
        ...route('Store the value of a variable in the vault'),
        params: VariableParams,
        body: CredentialBody,
        response: { 200: CredentialAnswer },
      },
    },
    async ({ params, body, log }) => {
      const { name, place } = await dnsCredentials.set(params.name, body.value)
      log.info({ variable: name }, 'DNS credential stored')
      return { object: 'dns.credential' as const, name, set_in: place }
    },
  )

  app.delete(
    '/dns/credentials/:name',
    {
      schema: {
        ...route('Remove the value of a variable from the vault'),
        params: VariableParams,
        response: { 200: CredentialAnswer },
      },
    },
    async ({ params, log }) => {
      const { name, place } = await dnsCredentials.unset(params.name)
      log.info({ variable: name }, 'DNS credential removed')
      return { object: 'dns.credential' as const, name, set_in: place }
    },
  )
}

export default fp(dns, { name: 'dns', fastify: '5.x', encapsulate: true, dependencies: ['vault', 'auth'] })
