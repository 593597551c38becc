import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import {
  IdParams,
  KeyAnswer,
  KeyCheckAnswer,
  NewKeyBody,
  PageQuery,
  RenameBody,
  ReplaceBody,
  SavedKeyAnswer,
  deletedAnswer,
  describe,
  listAnswer,
  pageOf,
} from './schemas.ts'

/** Saves, lists, renames, replaces, checks and deletes keys. No route ever answers with one. */
const keys: FastifyPluginAsyncTypebox = async (app) => {
  const { checkKey, liveCalls, now, vault } = app.unsealed
  const route = (summary: string) => describe('keys', 'admin', summary)

  app.post(
    '/keys',
    { schema: { ...route('Save a key'), body: NewKeyBody, response: { 201: SavedKeyAnswer } } },
    async ({ body, log }, reply) => {
      const key = await vault.save(body)
      const token = await app.tokens.mint({ key_id: key.id })
      log.info({ key: key.id, upstream: key.base_url, token: token.id }, 'key saved')
      return reply.code(201).send({ object: 'key', ...key, token: { object: 'token', ...token } })
    },
  )

  app.get(
    '/keys',
    { schema: { ...route('List keys'), querystring: PageQuery, response: { 200: listAnswer(KeyAnswer) } } },
    async ({ query }) => {
      if (query.after !== undefined) await vault.find(query.after)
      const { items, hasMore } = await vault.list(pageOf(query))
      return { object: 'list' as const, data: items.map((key) => ({ object: 'key', ...key })), has_more: hasMore }
    },
  )

  app.get(
    '/keys/:id',
    { schema: { ...route('Show a key'), params: IdParams, response: { 200: KeyAnswer } } },
    async ({ params }) => ({ object: 'key' as const, ...(await vault.find(params.id)) }),
  )

  app.patch(
    '/keys/:id',
    { schema: { ...route('Rename a key'), params: IdParams, body: RenameBody, response: { 200: KeyAnswer } } },
    async ({ params, body }) => ({ object: 'key' as const, ...(await vault.rename(params.id, body.name)) }),
  )

  app.put(
    '/keys/:id/value',
    {
      schema: {
        ...route('Replace a key; its tokens go on'),
        params: IdParams,
        body: ReplaceBody,
        response: { 200: KeyAnswer },
      },
    },
    async ({ params, body, log }) => {
      const key = await vault.replace(params.id, body.key)
      log.info({ key: key.id, version: key.version }, 'key replaced')
      return { object: 'key' as const, ...key }
    },
  )

  app.post(
    '/keys/:id/check',
    {
      schema: {
        ...route('Ask the upstream whether it takes a key'),
        params: IdParams,
        response: { 200: KeyCheckAnswer },
      },
    },
    async ({ params: { id } }) => ({
      object: 'key.check' as const,
      id,
      ...(await checkKey(await vault.openById(id))),
      checked_at: now(),
    }),
  )

  app.delete(
    '/keys/:id',
    {
      schema: {
        ...route('Delete a key and end its tokens'),
        params: IdParams,
        response: { 200: deletedAnswer('key') },
      },
    },
    async ({ params: { id }, log }) => {
      await vault.remove(id)
      liveCalls.endKey(id)
      log.info({ key: id }, 'key deleted')
      return { id, object: 'key' as const, deleted: true as const }
    },
  )
}

export default fp(keys, { name: 'keys', fastify: '5.x', encapsulate: true, dependencies: ['vault', 'auth'] })
