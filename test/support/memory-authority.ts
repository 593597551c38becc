import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { AcmeError } from '../../services/acme/error.ts'
import type { AcmeClient, AcmeOrder, AcmeProblem, OrderRequest, RenewalWindow } from '../../services/acme/index.ts'
import type { TestIssuer } from './memory-certificates.ts'

/** An order as the authority keeps it. */
interface KeptOrder extends OrderRequest {
  readonly url: string
  readonly account: string
  readonly authorizations: readonly string[]
  readonly createdAt: number
  status: AcmeOrder['status']
  certificate?: string
}

interface KeptAuthorization {
  readonly url: string
  readonly domain: string
  readonly isWildcard: boolean
  readonly value: string
  status: 'pending' | 'valid' | 'invalid'
}

/** A certificate authority in memory, which a test can make do as it likes. */
export interface MemoryAuthority {
  readonly url: string
  client(key: string): AcmeClient
  /** `createOrder`, `finalize` and so on, in order. */
  readonly calls: string[]
  readonly orders: KeptOrder[]
  readonly revoked: { readonly certificate: string; readonly reason: number; readonly byKey: boolean }[]
  /** Times of failed validations, by domain. */
  readonly failed: { readonly domain: string; readonly at: number }[]
  readonly accounts: Map<string, string>
  /** The addresses that it was told later. */
  readonly contacts: (string | undefined)[]
  lifetimeMs: number
  profiles: Record<string, string>
  externalAccountRequired: boolean
  clockOffsetMs: number | undefined
  /** Undefined: no ARI. */
  window: ((certificateId: string) => RenewalWindow | undefined) | undefined
  /** Whether a TXT value stands. */
  hasRecord: (domain: string, value: string) => boolean
  /** What a call is to do instead: throw, or never return. */
  hinder: (call: string, details: OrderRequest | undefined, signal: AbortSignal) => Promise<void> | void
  /** In place of the names asked for. */
  issuedNames: readonly string[] | undefined
  /** A domain that it wants to be proved in place of those ordered. */
  foreign: string | undefined
}

/** Makes the error of a problem. */
export function problemOf(directory: string, type: string, more: Partial<AcmeProblem> & { answered?: number } = {}) {
  const { answered = 400, ...rest } = more
  const problem = {
    type,
    detail: `detail of ${type}`,
    status: answered,
    subproblems: [],
    retryAfterMs: undefined,
    ...rest,
  }
  return new AcmeError(directory, `It refused: ${problem.detail} (${type}).`, { problem, answered })
}

/** Creates an authority. `now` is its own clock's. */
export function createMemoryAuthority(url: string, issuer: TestIssuer, now: () => number): MemoryAuthority {
  const authorizations = new Map<string, KeptAuthorization>()
  const find = (order: string) => {
    const found = authority.orders.find((each) => each.url === order)
    if (found === undefined) throw problemOf(url, 'malformed', { answered: 404, detail: 'No such order.' })
    return found
  }

  function statusOf(order: KeptOrder): AcmeOrder['status'] {
    const all = order.authorizations.map((each) => authorizations.get(each)?.status)
    if (order.status === 'pending' && all.includes('invalid')) return 'invalid'
    return order.status === 'pending' && all.every((status) => status === 'valid') ? 'ready' : order.status
  }

  const show = (order: KeptOrder): AcmeOrder => ({
    url: order.url,
    status: (order.status = statusOf(order)),
    names: order.names,
    authorizations: order.authorizations,
    finalize: `${order.url}/finalize`,
    certificate: order.certificate === undefined ? undefined : `${order.url}/certificate`,
    expires: order.createdAt + 7 * 86_400_000,
    profile: order.profile,
    error: undefined,
    retryAfterMs: undefined,
  })

  function client(firstKey: string): AcmeClient {
    let key = firstKey
    const call = async (name: string, signal: AbortSignal, details?: OrderRequest) => {
      signal.throwIfAborted()
      await turn()
      authority.calls.push(name)
      await authority.hinder(name, details, signal)
    }
    const account = () => {
      const found = authority.accounts.get(key)
      if (found === undefined) throw problemOf(url, 'accountDoesNotExist')
      return found
    }

    return {
      async readDirectory(signal) {
        await call('readDirectory', signal)
        const { externalAccountRequired, profiles, clockOffsetMs } = authority
        const hasRenewalInfo = authority.window !== undefined
        const nothing = { termsOfService: undefined, website: undefined, caaIdentities: [] }
        return { url, ...nothing, externalAccountRequired, profiles, hasRenewalInfo, clockOffsetMs }
      },
      async findOrMakeAccount({ externalAccount }, signal) {
        await call('findOrMakeAccount', signal)
        const known = authority.accounts.get(key)
        if (known !== undefined) return known
        if (authority.externalAccountRequired && externalAccount === undefined) {
          throw problemOf(url, 'externalAccountRequired')
        }
        const made = `${url}/account/${authority.accounts.size + 1}`
        authority.accounts.set(key, made)
        return made
      },
      async findAccount(signal) {
        await call('findAccount', signal)
        return authority.accounts.get(key)
      },
      async changeContact(email, signal) {
        await call('changeContact', signal)
        authority.contacts.push(email)
      },
      async createOrder(request, signal) {
        await call('createOrder', signal, request)
        const number = authority.orders.length + 1
        const kept = request.names.map((name, index) => ({
          url: `${url}/authorization/${number}/${index}`,
          domain: name.replace(/^\*\./, ''),
          isWildcard: name.startsWith('*.'),
          value: createHash('sha256').update(`${url} ${number} ${index} ${key}`).digest('base64url'),
          status: 'pending' as const,
        }))
        for (const each of kept) authorizations.set(each.url, each)
        const order = {
          ...request,
          url: `${url}/order/${number}`,
          account: account(),
          authorizations: kept.map((each) => each.url),
          createdAt: now(),
          status: 'pending' as const,
        }
        authority.orders.push(order)
        return show(order)
      },
      async readOrder(order, signal) {
        await call('readOrder', signal)
        account()
        return show(find(order))
      },
      async readAuthorization(authorization, signal) {
        await call('readAuthorization', signal)
        const found = authorizations.get(authorization)
        if (found === undefined) throw problemOf(url, 'malformed', { answered: 404 })
        const { domain, isWildcard, status, value } = found
        const error = status === 'invalid' ? problemOf(url, 'unauthorized').problem : undefined
        const challenge = { url: `${authorization}/challenge`, status, value, error }
        return {
          url: authorization,
          domain: authority.foreign ?? domain,
          isWildcard,
          status,
          challenge,
          retryAfterMs: undefined,
        }
      },
      async answerChallenge(challenge, signal) {
        await call('answerChallenge', signal)
        const found = authorizations.get(challenge.replace(/\/challenge$/, ''))
        if (found === undefined) throw problemOf(url, 'malformed', { answered: 404 })
        found.status = authority.hasRecord(found.domain, found.value) ? 'valid' : 'invalid'
        if (found.status === 'invalid') authority.failed.push({ domain: found.domain, at: now() })
      },
      async deactivateAuthorization(_url, signal) {
        await call('deactivateAuthorization', signal)
      },
      async finalize(order, csr, signal) {
        await call('finalize', signal)
        const found = find(order.url)
        if (statusOf(found) !== 'ready') throw problemOf(url, 'orderNotReady', { answered: 403 })
        const names = authority.issuedNames === undefined ? {} : { names: authority.issuedNames }
        const notBefore = now() - 3_600_000
        found.certificate = await issuer.issue(csr, { notBefore, notAfter: notBefore + authority.lifetimeMs, ...names })
        found.status = 'valid'
        return show(found)
      },
      async readCertificate(certificate, signal) {
        await call('readCertificate', signal)
        return find(certificate.replace(/\/certificate$/, '')).certificate ?? ''
      },
      async readRenewalWindow(id, signal) {
        await call('readRenewalWindow', signal)
        return authority.window?.(id)
      },
      async revoke(certificate, reason, signal, certificateKey) {
        await call('revoke', signal)
        authority.revoked.push({ certificate, reason, byKey: certificateKey !== undefined })
      },
      async changeKey(newKey, signal) {
        await call('changeKey', signal)
        const known = account()
        authority.accounts.delete(key)
        authority.accounts.set((key = newKey), known)
      },
      close: async () => undefined,
    }
  }

  const authority: MemoryAuthority = {
    url,
    client,
    calls: [],
    orders: [],
    revoked: [],
    failed: [],
    accounts: new Map(),
    contacts: [],
    lifetimeMs: 90 * 86_400_000,
    profiles: {},
    externalAccountRequired: false,
    clockOffsetMs: undefined,
    window: undefined,
    hasRecord: () => true,
    hinder: () => undefined,
    issuedNames: undefined,
    foreign: undefined,
  }
  return authority
}
