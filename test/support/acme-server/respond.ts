import type { World } from './context.ts'
import { endpoints } from './endpoints.ts'
import type { EndpointName } from './endpoints.ts'
import type { FaultPlan } from './fault-plan.ts'
import type { Answer } from './faults.ts'
import { verifyRequest } from './gate.ts'
import type { Respond } from './listener.ts'
import { createNonces } from './nonces.ts'
import { Refused, answerOf } from './problem.ts'

/** A request as it was logged. */
export interface LoggedRequest {
  readonly endpoint: EndpointName | undefined
  readonly method: string
  readonly url: string
  readonly userAgent: string | undefined
  /** The nonce it was signed with. */
  nonce: string | undefined
  payload: unknown
  /** By whom it was signed, where it got so far. */
  account: string | undefined
  /** Undefined while it is worked on, and where nothing was answered. */
  status: number | undefined
}

/** Creates what answers requests and logs them. */
export function createRespond(
  world: World,
  faults: FaultPlan,
  requests: LoggedRequest[],
  random: () => number,
): Respond {
  const nonces = createNonces()

  function usualHeaders(): Record<string, string> {
    return {
      'replay-nonce': nonces.issue(),
      date: new Date(world.now()).toUTCString(),
      link: `<${world.origin()}/directory>;rel="index"`,
      ...(world.behaviour.isStrange && { 'x-strange': 'yes', 'retry-later': 'maybe' }),
    }
  }

  return async (incoming) => {
    const { method, url, userAgent, path } = incoming
    const endpoint = endpoints.find((each) => each.path === path[0])
    const log: LoggedRequest = {
      endpoint: endpoint?.name,
      method,
      url,
      userAgent,
      nonce: undefined,
      payload: undefined,
      account: undefined,
      status: undefined,
    }
    requests.push(log)

    async function carryOut(): Promise<Answer> {
      try {
        if (endpoint === undefined) throw new Refused(404, 'malformed', `There is no ${url}`)
        const tools = { nonces, random, log }
        const call = await verifyRequest(world, endpoint, { ...incoming, path: path.slice(1) }, tools)
        return await endpoint.handle(world, call)
      } catch (error) {
        if (error instanceof Refused) return answerOf(error)
        throw error
      }
    }

    const fault = endpoint && faults.take(endpoint.name)
    const answer = fault === undefined ? await carryOut() : await fault(carryOut)
    if (typeof answer === 'string') return answer
    log.status = answer.status
    return { ...answer, headers: { ...usualHeaders(), ...answer.headers } }
  }
}
