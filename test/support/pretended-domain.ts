import type { FastifyInstance } from 'fastify'
import type { CertificateStatus, Certificates } from '../../services/certificates/index.ts'
import type { Finding } from '../../services/doctor/finding.ts'

/** What the stand-in was asked to do. */
export interface PretendedDomain {
  readonly calls: unknown[]
  /** What it shows from now on; tests change it. */
  status: CertificateStatus
  /** What asking it for anything but its status throws. */
  error: Error | undefined
}

/** A certificate that is good until 2030, got in one attempt. */
export const STATUS: CertificateStatus = {
  names: ['ai.example.com', '*.ai.example.com'],
  serving: 'acme',
  state: 'valid',
  certificate: {
    serial: '0a1b',
    fingerprint: 'ab'.repeat(32),
    issuer: 'R13',
    names: ['ai.example.com', '*.ai.example.com'],
    not_before: 1_890_000_000,
    not_after: 1_897_776_000,
    directory: 'https://acme-v02.api.letsencrypt.org/directory',
    profile: null,
    revoked_at: null,
  },
  next_renewal: { at: 1_895_184_000, reason: 'Two thirds of its life are over then.' },
  running: null,
  holds: [],
  last_error: null,
  timeline: [
    event(1_890_000_042, 'attempt-succeeded', 'The certificate was got.', { duration_ms: 42_000 }),
    event(1_890_000_001, 'order-created', 'An order was made at letsencrypt.', { duration_ms: 350 }),
    event(1_890_000_000, 'attempt-started', 'An attempt was started, as there is no certificate.', {}),
  ],
}

/** Makes an event of the timeline. */
export function event(
  at: number,
  kind: CertificateStatus['timeline'][number]['kind'],
  message: string,
  extra: Partial<CertificateStatus['timeline'][number]>,
): CertificateStatus['timeline'][number] {
  return {
    at,
    attempt: 'att_1',
    kind,
    message,
    duration_ms: null,
    directory: null,
    code: null,
    problem: null,
    ...extra,
  }
}

/** Has a server without a domain behave as if it had one, whose certificate is got by nobody. */
export function pretendDomain(app: FastifyInstance, findings: readonly Finding[] = []): PretendedDomain {
  const domain: PretendedDomain = { calls: [], status: STATUS, error: undefined }
  const act = async (...call: unknown[]) => {
    domain.calls.push(call)
    if (domain.error !== undefined) throw domain.error
    return domain.status
  }
  const certificates: Certificates = {
    begin: async () => false,
    start: () => undefined,
    status: async () => domain.status,
    figures: () => ({
      attempts: { succeeded: 3, failed: 1 },
      phases: { order: 350, propagation: 12_500 },
      serverLag: [{ name: 'ns1.example.com', address: '192.0.2.53', ms: 1_500 }],
      problems: { rateLimited: 1 },
    }),
    renew: () => act('renew'),
    revoke: (reason) => act('revoke', reason),
    changeAccountKeys: () => act('account-key'),
    close: async () => undefined,
  }
  const checkCertificates = async () => {
    await act('check')
    return findings
  }
  Object.assign(app, { certificates, checkCertificates })
  return domain
}
