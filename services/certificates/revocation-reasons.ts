/**
 * Reasons for which a subscriber may have a certificate revoked, and their numbers (RFC 5280 section 5.3.1, CA/Browser
 * Forum baseline requirements 7.2.2).
 */
export const revocationReasons = {
  unspecified: 0,
  key_compromise: 1,
  affiliation_changed: 3,
  superseded: 4,
  cessation_of_operation: 5,
} as const

/** Why a certificate is revoked. */
export type RevocationReason = keyof typeof revocationReasons
