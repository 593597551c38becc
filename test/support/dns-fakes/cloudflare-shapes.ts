import type { CloudflareRecord, CloudflareZone } from './cloudflare.ts'

/** Shows a record with all the fields that recorded traffic has. */
export function showRecord({ id, name, type, content, ttl, comment, created, modified }: CloudflareRecord): object {
  return {
    id,
    name,
    type,
    content,
    proxiable: false,
    proxied: false,
    ttl,
    settings: {},
    meta: {},
    comment,
    tags: [],
    created_on: created,
    modified_on: modified,
  }
}

/** Shows a zone with all the fields that recorded traffic has. */
export function showZone({ id, name, status }: CloudflareZone): object {
  return {
    id,
    name,
    status,
    paused: false,
    type: 'full',
    development_mode: 0,
    name_servers: ['a.ns.cloudflare.com', 'b.ns.cloudflare.com'],
    original_name_servers: null,
    original_registrar: null,
    original_dnshost: null,
    modified_on: '2025-06-27T16:15:05.621864Z',
    created_on: '2025-06-27T16:15:01.206882Z',
    activated_on: '2025-06-27T16:15:05.465417Z',
    vanity_name_servers: [],
    vanity_name_servers_ips: null,
    meta: { step: 4, custom_certificate_quota: 0, page_rule_quota: 3, phishing_detected: false },
    owner: { id: null, type: 'user', email: null },
    account: { id, name: 'Account' },
    tenant: { id: null, name: null },
    tenant_unit: { id: null },
    permissions: ['#dns_records:edit', '#dns_records:read', '#zone:read'],
    plan: {
      id,
      name: 'Free Website',
      price: 0,
      currency: 'USD',
      frequency: '',
      is_subscribed: false,
      can_subscribe: false,
      legacy_id: 'free',
      legacy_discount: false,
      externally_managed: false,
    },
  }
}
