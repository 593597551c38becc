import { Type } from 'typebox'
import type { RevocationReason } from '../services/certificates/revocation-reasons.ts'
import { Nullable, Time, strict } from './schemas.ts'

const Text = Type.String()

export const RevokeBody = Type.Object(
  {
    reason: Type.Enum(
      [
        'unspecified',
        'key_compromise',
        'affiliation_changed',
        'superseded',
        'cessation_of_operation',
      ] as const satisfies RevocationReason[],
      { description: 'Why, as RFC 5280 section 5.3.1 has it' },
    ),
  },
  strict,
)

const Certificate = Type.Object({
  serial: Text,
  fingerprint: Type.String({ description: 'SHA-256, hexadecimal' }),
  issuer: Text,
  names: Type.Array(Text),
  not_before: Time,
  not_after: Time,
  directory: Type.String({ description: 'URL of the authority' }),
  profile: Nullable(Text),
  revoked_at: Nullable(Time),
})

const Event = Type.Object({
  at: Time,
  attempt: Nullable(Text),
  kind: Text,
  message: Text,
  duration_ms: Nullable(Type.Number()),
  directory: Nullable(Text),
  code: Nullable(Text),
  problem: Nullable(Type.String({ description: "The authority's word for what went wrong" })),
})

export const CertificateStatusAnswer = Type.Object({
  object: Type.Literal('certificate_status'),
  names: Type.Array(Text),
  serving: Type.Enum(['acme', 'local', 'none']),
  state: Type.Enum(['missing', 'valid', 'due', 'expired', 'revoked']),
  certificate: Nullable(Certificate),
  next_renewal: Nullable(Type.Object({ at: Time, reason: Text })),
  running: Nullable(Type.Object({ attempt: Text, phase: Text, since: Time })),
  holds: Type.Array(Type.Object({ directory: Text, until: Time, reason: Text })),
  last_error: Nullable(Type.Object({ at: Time, code: Text, problem: Nullable(Text), message: Text })),
  timeline: Type.Array(Event, { description: 'Newest first' }),
})

const Finding = Type.Object({
  check: Text,
  status: Type.Enum(['ok', 'warning', 'fault', 'skipped']),
  message: Text,
  remedy: Nullable(Text),
})

export const FindingsAnswer = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(Finding),
  has_more: Type.Literal(false),
})

const Variable = Type.Object({
  name: Text,
  meaning: Text,
  secret: Type.Boolean(),
  optional: Type.Boolean(),
  storable: Type.Boolean({ description: 'It can be stored in the vault' }),
  aliases: Type.Array(Text),
  set_in: Type.Enum(['environment', 'vault', 'nowhere']),
})

export const ProvidersAnswer = Type.Object({
  object: Type.Literal('list'),
  data: Type.Array(
    Type.Object({
      object: Type.Literal('dns.provider'),
      name: Text,
      title: Text,
      variables: Type.Array(Variable),
    }),
  ),
  has_more: Type.Literal(false),
})

export const VariableParams = Type.Object({ name: Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_]{0,99}$' }) })

export const CredentialBody = Type.Object(
  {
    value: Type.String({ minLength: 1, maxLength: 16_384, pattern: '\\S', description: 'No answer ever contains it' }),
  },
  strict,
)

export const CredentialAnswer = Type.Object({
  object: Type.Literal('dns.credential'),
  name: Text,
  set_in: Type.Enum(['environment', 'vault', 'nowhere'], {
    description: 'Where the value that counts is: the environment goes before the vault',
  }),
})
