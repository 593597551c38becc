import { Type } from 'typebox'
import type { TSchema } from 'typebox'

/** Refuses members that nobody knows. */
export const strict = { additionalProperties: false }

/** Unix seconds. */
export const Time = Type.Integer({ description: 'Unix seconds' })

const Name = Type.String({ minLength: 1, maxLength: 200 })

/** An API key as a client sends it; no answer ever contains one. */
export const KeyText = Type.String({ minLength: 1, maxLength: 4096, description: 'The API key, sk-…' })

const Account = Type.String({ minLength: 1, maxLength: 200, pattern: '^[\\x21-\\x7e]+$' })

export const NewKeyBody = Type.Object(
  {
    key: KeyText,
    name: Type.Optional(Name),
    base_url: Type.Optional(Type.String({ maxLength: 2000, description: 'https://host/v1; OpenAI by default' })),
    organization: Type.Optional(Account),
    project: Type.Optional(Account),
  },
  strict,
)

export const RenameBody = Type.Object({ name: Name }, strict)

export const ReplaceBody = Type.Object({ key: KeyText }, strict)

/** Both spellings of the 2023 soakp. */
export const LegacyBody = Type.Object({
  key: KeyText,
  org: Type.Optional(Account),
  orgId: Type.Optional(Account),
  project: Type.Optional(Account),
})

const Limit = Type.Integer({ minimum: 1, maximum: 1_000_000_000 })

const Limits = Type.Object({ requests_per_minute: Limit, requests_per_day: Limit, parallel_requests: Limit }, strict)

const Scope = Type.Object(
  {
    methods: Type.Optional(
      Type.Array(Type.String({ pattern: '^[A-Z]{1,20}$' }), { minItems: 1, maxItems: 20, uniqueItems: true }),
    ),
    paths: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 500 }), {
        minItems: 1,
        maxItems: 50,
        uniqueItems: true,
        description: 'Patterns of the path after /v1, decoded once: * is one segment, ** the rest',
      }),
    ),
  },
  strict,
)

const YEAR_SECONDS = 365 * 86_400

export const NewTokenBody = Type.Object(
  {
    key_id: Type.String({ maxLength: 100 }),
    subject: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
    name: Type.Optional(Name),
    expires_in: Type.Optional(Type.Integer({ minimum: 1, maximum: YEAR_SECONDS, description: 'Seconds' })),
    scope: Type.Optional(Scope),
    origins: Type.Optional(Type.Array(Type.String({ maxLength: 300 }), { maxItems: 50 })),
    limits: Type.Optional(Type.Partial(Limits, strict)),
  },
  strict,
)

export const RotateTokenBody = Type.Object(
  {
    grace_seconds: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 86_400, description: 'How long the old JWT stays good; 300 by default' }),
    ),
    expires_in: Type.Optional(
      Type.Integer({ minimum: 1, maximum: YEAR_SECONDS, description: 'Seconds; without it the expiry stays' }),
    ),
  },
  strict,
)

const PAGE_SIZE = 20

const PageFields = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: PAGE_SIZE })),
  after: Type.Optional(Type.String({ maxLength: 100, description: 'The id that the page begins after' })),
}

/** Reads which page a query asks for. */
export function pageOf({ limit = PAGE_SIZE, after }: { limit?: number; after?: string }) {
  return { limit, after }
}

export const PageQuery = Type.Object(PageFields, strict)

export const TokenPageQuery = Type.Object(
  { ...PageFields, key_id: Type.Optional(Type.String({ maxLength: 100 })) },
  strict,
)

export const IdParams = Type.Object({ id: Type.String({ maxLength: 100 }) })

/** Either the schema or null. */
export const Nullable = (schema: TSchema) => Type.Union([schema, Type.Null()])

const keyFields = {
  object: Type.Literal('key'),
  id: Type.String(),
  name: Type.String(),
  base_url: Type.String(),
  version: Type.Integer({ description: 'Grows with each replacement' }),
  created_at: Time,
  updated_at: Time,
}

const tokenFields = {
  object: Type.Literal('token'),
  id: Type.String(),
  key_id: Type.String(),
  subject: Nullable(Type.String()),
  name: Nullable(Type.String()),
  created_at: Time,
  expires_at: Time,
  revoked_at: Nullable(Time),
  generation: Type.Integer({ description: 'Grows with each rotation' }),
  previous_valid_until: Nullable(Time),
  scope: Scope,
  origins: Type.Array(Type.String()),
  limits: Limits,
}

export const KeyAnswer = Type.Object(keyFields)
export const TokenAnswer = Type.Object(tokenFields)
export const MintedTokenAnswer = Type.Object({
  ...tokenFields,
  token: Type.String({ description: 'The JWT, this once only' }),
})
export const SavedKeyAnswer = Type.Object({ ...keyFields, token: MintedTokenAnswer })
export const KeyCheckAnswer = Type.Object({
  object: Type.Literal('key.check'),
  id: Type.String(),
  works: Type.Boolean(),
  status: Nullable(Type.Integer({ description: 'What the upstream answered to GET /models' })),
  message: Type.String(),
  checked_at: Time,
})
export const LegacyAnswer = Type.Object({
  status: Type.Literal(201),
  message: Type.Literal('JWT added'),
  data: Type.Object({ jwt: Type.String() }),
})
export const MeAnswer = Type.Object({
  object: Type.Literal('token'),
  id: Type.String(),
  subject: Nullable(Type.String()),
  name: Nullable(Type.String()),
  expires_at: Time,
  scope: Scope,
  origins: Type.Array(Type.String()),
  limits: Limits,
  remaining: Type.Object({
    requests_per_minute: Type.Integer(),
    requests_per_day: Type.Integer(),
    parallel_requests: Type.Integer(),
  }),
})
export const AdminCredentialAnswer = Type.Object({
  object: Type.Literal('admin_credential'),
  credential: Type.String({ description: 'The new admin credential, this once only' }),
})
export const StatusAnswer = Type.Object({
  status: Type.String({ description: 'ok, ready or degraded' }),
  reasons: Type.Optional(Type.Array(Type.String(), { description: 'Why it is degraded, in sentences' })),
})

/** The answer to a DELETE of this kind of object. */
export function deletedAnswer(object: 'key' | 'token') {
  return Type.Object({ id: Type.String(), object: Type.Literal(object), deleted: Type.Literal(true) })
}

/** A list of this kind of object. */
export function listAnswer(item: TSchema) {
  return Type.Object({ object: Type.Literal('list'), data: Type.Array(item), has_more: Type.Boolean() })
}

/** Says who may use a route and what it does, for the OpenAPI document. */
export function describe(tag: string, credential: 'admin' | 'token' | 'basic' | undefined, summary: string) {
  return { tags: [tag], summary, security: credential === undefined ? [] : [{ [credential]: [] }] }
}
