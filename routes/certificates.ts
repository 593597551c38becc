import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import type { CertificateStatus, Certificates } from '../services/certificates/index.ts'
import { SoakpError } from '../services/errors.ts'
import { CertificateStatusAnswer, FindingsAnswer, RevokeBody } from './certificate-schemas.ts'
import { describe } from './schemas.ts'

/** Shows, renews and revokes the certificate of SOAKP_DOMAIN, and checks what getting it needs. */
const certificates: FastifyPluginAsyncTypebox = async (app) => {
  const route = (summary: string) => describe('certificates', 'admin', summary)
  const answered = (summary: string) => ({ ...route(summary), response: { 200: CertificateStatusAnswer } })

  function own(): Certificates {
    if (app.certificates !== undefined) return app.certificates
    throw noDomain()
  }

  app.get('/certificates', { schema: answered('Show the certificate, its renewal and what has happened') }, async () =>
    shown(await own().status()),
  )

  app.post(
    '/certificates/renew',
    { schema: answered('Renew the certificate now; answers when it is done, which may take minutes') },
    async () => shown(await own().renew()),
  )

  app.post(
    '/certificates/revoke',
    { schema: { ...answered('Revoke the certificate and get another with a new key'), body: RevokeBody } },
    async ({ body, log }) => {
      const status = await own().revoke(body.reason)
      log.info({ reason: body.reason }, 'certificate revoked')
      return shown(status)
    },
  )

  app.post('/certificates/account-key', { schema: answered("Give the authorities' accounts new keys") }, async () =>
    shown(await own().changeAccountKeys()),
  )

  app.post(
    '/certificates/check',
    {
      schema: {
        ...route('Look for what would go wrong, before an authority is asked for a certificate'),
        response: { 200: FindingsAnswer },
      },
    },
    async () => {
      if (app.checkCertificates === undefined) throw noDomain()
      return { object: 'list' as const, data: [...(await app.checkCertificates())], has_more: false as const }
    },
  )
}

function shown({ names, holds, timeline, ...rest }: CertificateStatus) {
  return {
    object: 'certificate_status' as const,
    ...rest,
    names: [...names],
    holds: [...holds],
    timeline: [...timeline],
  }
}

function noDomain(): SoakpError {
  const message =
    'SOAKP has no domain to get a certificate for: set SOAKP_DOMAIN and SOAKP_DNS, and start it with them.'
  return new SoakpError(404, 'SOAKP_NO_DOMAIN', message)
}

export default fp(certificates, {
  name: 'certificate-routes',
  fastify: '5.x',
  encapsulate: true,
  dependencies: ['certificates', 'certificate-check', 'auth'],
})
