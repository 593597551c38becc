import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import jwt from '@fastify/jwt'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'
import { SoakpError } from '../services/errors.ts'
import { parseSubprotocols } from '../services/subprotocols.ts'
import { createTokens } from '../services/tokens.ts'
import type { AuthenticatedToken, Tokens } from '../services/tokens.ts'

/** Hooks that let a request in or throw; a scope's `onRequest` runs them. */
export interface Authentication {
  /** Lets in a caller's token and leaves it in `request.token`. */
  readonly requireToken: (request: FastifyRequest) => Promise<void>
  /** Lets in the admin: by credential, or through the socket in the data folder. */
  readonly requireAdmin: (request: FastifyRequest) => Promise<void>
  /** Lets in the admin by HTTP Basic (RFC 7617), as the 2023 soakp did. */
  readonly requireBasic: (request: FastifyRequest) => Promise<void>
}

const DAY_SECONDS = 86_400
const KEY_ID = 'token-signing/1'

/** Signs and verifies tokens with @fastify/jwt and provides the hooks that authenticate. */
async function auth(app: FastifyInstance, { configuration, processCredential }: SoakpOptions): Promise<void> {
  const { admin, instance, now, secrets, store } = app.unsealed
  const { limits } = app
  const { value } = await secrets.findOrMake(KEY_ID, async () => ({ key: randomBytes(32).toString('base64url') }))
  const issuer = `urn:soakp:${instance}`
  await app.register(jwt, {
    secret: Buffer.from(value.key, 'base64url'),
    // Not `user`, which belongs to whoever else uses the package in the same Fastify.
    decoratorName: 'soakpClaims',
    sign: { algorithm: 'HS256', kid: KEY_ID, header: { alg: 'HS256', typ: 'at+jwt' }, iss: issuer, aud: 'soakp' },
    verify: {
      algorithms: ['HS256'],
      checkTyp: 'at+jwt',
      allowedIss: issuer,
      allowedAud: 'soakp',
      requiredClaims: ['iss', 'aud', 'jti', 'sub', 'key', 'iat', 'nbf', 'exp'],
      clockTolerance: 0,
      cache: false,
    },
  })
  const tokens = createTokens({
    store,
    signer: { sign: (claims) => app.jwt.sign({ ...claims }), verify: (token) => app.jwt.verify(token) },
    lifetime: configuration.tokenDays * DAY_SECONDS,
    limits: configuration.tokenLimits,
    now,
  })

  async function isAdmin(credential: string): Promise<boolean> {
    if (processCredential !== undefined && areEqual(credential, processCredential.reveal())) return true
    return admin.isCredential(credential)
  }

  /** Refuses. Only a credential that was given counts as a guess: a page can make a browser ask without one. */
  async function refuseLogin(request: FastifyRequest, scheme: string, given: string | undefined): Promise<never> {
    if (given !== undefined) await limits.countFailedLogin(request)
    await limits.countRefusal(request)
    const message = 'The admin credential is missing or wrong. `soakp admin reset` makes a new one.'
    throw new SoakpError(401, 'SOAKP_ADMIN_REFUSED', message, { headers: { 'www-authenticate': scheme } })
  }

  app.decorate('tokens', tokens)
  app.decorate('authentication', {
    async requireToken(request) {
      try {
        request.token = tokens.authenticate(credentialOf(request, 'bearer') ?? subprotocolToken(request) ?? '')
      } catch (error) {
        await limits.countRefusal(request)
        throw error
      }
      const { key_id, token_id } = request.token.grant
      Object.assign(request.logFields, { token: token_id, key: key_id })
    },

    async requireAdmin(request) {
      if (app.isLocalAdmin(request)) return
      await limits.assertLoginAllowed(request)
      const credential = credentialOf(request, 'bearer')
      if (credential === undefined || !(await isAdmin(credential))) {
        await refuseLogin(request, 'Bearer', credential)
      }
    },

    async requireBasic(request) {
      await limits.assertLoginAllowed(request)
      const credential = credentialOf(request, 'basic')
      const [user = '', ...password] = decodeBasic(credential).split(':')
      // Both are always checked, so that the time taken does not tell which one was wrong.
      const areRight = [await isAdmin(password.join(':')), admin.isUser(user)]
      if (areRight.includes(false)) await refuseLogin(request, 'Basic realm="SOAKP", charset="UTF-8"', credential)
    },
  } satisfies Authentication)
  app.decorateRequest('token', undefined)
  app.decorateRequest('authenticatedToken', function authenticatedToken(this: FastifyRequest) {
    if (this.token === undefined) throw new TypeError('this route is not behind requireToken')
    return this.token
  })
}

/** Returns the credential of an `Authorization` header with this scheme (RFC 9110 section 11.4). */
function credentialOf({ headers }: FastifyRequest, scheme: string): string | undefined {
  const match = /^([A-Za-z]+) +(\S+) *$/.exec(headers.authorization ?? '')
  return match?.[1]?.toLowerCase() === scheme ? match[2] : undefined
}

/** Compares in constant time. */
function areEqual(one: string, other: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(one), hash(other))
}

/** Browsers cannot set headers on a WebSocket. */
function subprotocolToken({ headers }: FastifyRequest): string | undefined {
  if (headers.upgrade?.toLowerCase() !== 'websocket') return undefined
  return parseSubprotocols(headers['sec-websocket-protocol']).token
}

function decodeBasic(credential: string | undefined): string {
  return Buffer.from(credential ?? '', 'base64').toString('utf8')
}

export default fp(auth, { name: 'auth', fastify: '5.x', dependencies: ['request-log', 'vault', 'limits', 'control'] })

declare module 'fastify' {
  interface FastifyInstance {
    readonly tokens: Tokens
    readonly authentication: Authentication
  }
  interface FastifyRequest {
    token: AuthenticatedToken | undefined
    /** The caller's token, in scopes that require one. */
    authenticatedToken(): AuthenticatedToken
  }
}
