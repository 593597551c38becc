import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import {
  IdParams,
  MintedTokenAnswer,
  NewTokenBody,
  RotateTokenBody,
  TokenAnswer,
  TokenPageQuery,
  deletedAnswer,
  describe,
  listAnswer,
  pageOf,
} from './schemas.ts'

/** Mints, lists, shows, rotates and revokes tokens. The JWT is in the answer to minting or rotating and nowhere else. */
const tokens: FastifyPluginAsyncTypebox = async (app) => {
  const { liveCalls } = app.unsealed
  const route = (summary: string) => describe('tokens', 'admin', summary)

  app.post(
    '/tokens',
    { schema: { ...route('Mint a token'), body: NewTokenBody, response: { 201: MintedTokenAnswer } } },
    async ({ body, log }, reply) => {
      const token = await app.tokens.mint(body)
      log.info({ token: token.id, key: token.key_id, expires_at: token.expires_at }, 'token minted')
      return reply.code(201).send({ object: 'token', ...token })
    },
  )

  app.get(
    '/tokens',
    { schema: { ...route('List tokens'), querystring: TokenPageQuery, response: { 200: listAnswer(TokenAnswer) } } },
    async ({ query }) => {
      if (query.after !== undefined) await app.tokens.find(query.after)
      const { items, hasMore } = await app.tokens.list({ ...pageOf(query), keyId: query.key_id })
      return { object: 'list' as const, data: items.map((token) => ({ object: 'token', ...token })), has_more: hasMore }
    },
  )

  app.get(
    '/tokens/:id',
    { schema: { ...route('Show a token'), params: IdParams, response: { 200: TokenAnswer } } },
    async ({ params }) => ({ object: 'token' as const, ...(await app.tokens.find(params.id)) }),
  )

  app.post(
    '/tokens/:id/rotate',
    {
      schema: {
        ...route('Give a token a new JWT; the old one works until the grace ends'),
        params: IdParams,
        body: RotateTokenBody,
        response: { 200: MintedTokenAnswer },
      },
      // Nothing has to be said.
      preValidation: async (request) => {
        request.body ??= {}
      },
    },
    async ({ params, body, log }) => {
      const token = await app.tokens.rotate(params.id, body)
      const { id, key_id, generation, previous_valid_until } = token
      log.info({ token: id, key: key_id, generation, previous_valid_until }, 'token rotated')
      return { object: 'token' as const, ...token }
    },
  )

  app.delete(
    '/tokens/:id',
    {
      schema: {
        ...route('Revoke a token and end its running calls'),
        params: IdParams,
        response: { 200: deletedAnswer('token') },
      },
    },
    async ({ params: { id }, log }) => {
      await app.tokens.revoke(id)
      liveCalls.endToken(id)
      log.info({ token: id }, 'token revoked')
      return { id, object: 'token' as const, deleted: true as const }
    },
  )
}

export default fp(tokens, { name: 'tokens', fastify: '5.x', encapsulate: true, dependencies: ['vault', 'auth'] })
