import { once } from 'node:events'
import type { LookupFunction } from 'node:net'
import { connect } from 'node:tls'
import type { DetailedPeerCertificate } from 'node:tls'
import OpenAI from 'openai'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import type { CertificateStatus } from '../../services/certificates/index.ts'
import { DOMAIN } from './acme-world.ts'
import { eventuallyTrue } from './eventually-answers.ts'
import { ADMIN } from './soakp.ts'
import type { TestSoakp } from './soakp.ts'

/** What a SOAKP in this process says about itself, whatever its certificate. */
export interface Followed {
  readonly ready: () => Promise<unknown>
  readonly status: () => Promise<CertificateStatus>
  /** Waits for a status and returns it. */
  readonly until: (what: string, isTrue: (status: CertificateStatus) => boolean) => Promise<CertificateStatus>
  /** Saves the practice upstream's key and returns a token. */
  readonly saveKey: () => Promise<string>
}

/** Whether a certificate of the authority is used and the attempt is over. */
export function isUsed({ serving, running }: CertificateStatus): boolean {
  return serving === 'acme' && running === null
}

/** Asks a SOAKP in this process without its certificate. */
export function follow({ app, upstream }: TestSoakp): Followed {
  const headers = { host: DOMAIN, authorization: `Bearer ${ADMIN}` }
  const status = async () => (await app.inject({ url: '/soakp/certificates', headers })).json<CertificateStatus>()
  return {
    status,
    ready: async () => (await app.inject({ url: '/soakp/ready', headers })).json(),

    async until(what, isTrue) {
      let last = await status()
      await eventuallyTrue(what, async () => isTrue((last = await status())))
      return last
    },

    async saveKey() {
      const payload = { key: upstream.key }
      const answer = await app.inject({ method: 'POST', url: '/soakp/keys', headers, payload })
      return answer.json<{ token: { token: string } }>().token.token
    },
  }
}

/** The chain that a server on this machine shows for a name, leaf first; rejects unless it leads to the root (PEM). */
export async function chainFor(port: number, name: string, root: string): Promise<readonly DetailedPeerCertificate[]> {
  const socket = connect({ host: '127.0.0.1', port, servername: name, ca: root })
  try {
    await once(socket, 'secureConnect')
    const chain: DetailedPeerCertificate[] = []
    for (let each = socket.getPeerCertificate(true); ; each = each.issuerCertificate) {
      chain.push(each)
      if (each.issuerCertificate === each) return chain
    }
  } finally {
    socket.destroy()
  }
}

/** The official SDK of somebody who trusts only this root and calls SOAKP by its name. */
export function openaiAt(t: Test, port: number, root: string, token: string): OpenAI {
  const lookup: LookupFunction = (_name, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }])
  const dispatcher = new Agent({ connect: { ca: root, lookup } })
  t.teardown(() => dispatcher.destroy())
  return new OpenAI({
    apiKey: token,
    baseURL: `https://${DOMAIN}:${port}/v1`,
    maxRetries: 0,
    fetch: fetch as unknown as typeof globalThis.fetch,
    fetchOptions: { dispatcher },
  })
}
