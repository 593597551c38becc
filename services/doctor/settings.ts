import { nodeVersionFault } from '../node-version.ts'
import { fault, faultOf, ok, warning } from './finding.ts'
import type { Result } from './finding.ts'
import type { Reading } from './patient.ts'

/** Sentences about these belong to the check of the secret. */
const SECRETS = /\bSOAKP_(?:SECRET|ROOT_KEY_FILE|ADMIN_TOKEN)\b/

/** Checks the version of Node. */
export function checkNode(version: string): Result {
  const message = nodeVersionFault(version)
  if (message === undefined) return ok(`Node ${version} runs SOAKP.`)
  return fault(message, 'Install Node 22.19 or newer; in a clone, `npm ci` brings one for `npm start`.')
}

/** Checks the environment variables, but for those that are secrets. */
export function checkConfiguration({ configuration, error, warnings }: Reading): Result {
  if (error !== undefined && (configuration === undefined || !SECRETS.test(error.message))) return faultOf(error)
  const others = warnings.filter((each) => !SECRETS.test(each))
  if (others.length > 0) return warning(others.join(' '), 'Correct the environment, so that no setting is misread.')
  return ok('The environment is understood.')
}

/** Says what the environment has wrong about secrets; undefined when nothing. */
export function secretFault({ error, warnings }: Reading): Result | undefined {
  if (error !== undefined) return faultOf(error)
  const message = warnings.find((each) => SECRETS.test(each))
  return message === undefined ? undefined : { ...faultOf({ message }), status: 'warning' }
}
