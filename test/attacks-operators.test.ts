import { test } from 'tap'
import { readConfiguration } from '../services/configuration.ts'
import { SoakpError } from '../services/errors.ts'
import { temporaryFolder } from './support/soakp.ts'

const NAMES = [
  'SOAKP_UPSTREAM',
  'SOAKP_ALLOW_PRIVATE_UPSTREAMS',
  'SOAKP_ALLOWED_ORIGINS',
  'SOAKP_TRUSTED_PROXIES',
  'SOAKP_LOG_LEVEL',
  'SOAKP_PORT',
]

test('a password in the URL of a setting, or a key in the wrong one, is not repeated by what refuses it', async (t) => {
  const dataDir = await temporaryFolder(t)
  const given = ['https://user:pa55@w0rd-2f8c@10.0.0.1/v1', 'sk-proj-pa55-w0rd-2f8c', 'soakp_admin_pa55w0rd-2f8c']
  for (const name of NAMES) {
    for (const value of given) {
      const read = () => readConfiguration({ SOAKP_DATA_DIR: dataDir, [name]: value }, dataDir)
      const error = t.throws(read, { name: 'SoakpError' }) as SoakpError
      t.notMatch(`${error.message} ${error.stack}`, /pa55|w0rd/, `${name}: ${error.message}`)
      t.match(error.message, name)
    }
  }
})

test('what is no secret is repeated', async (t) => {
  for (const text of ['mailto:user@example.com', 'https://api.example.com/v1', 'sk-', '"https://a.example" and b@c']) {
    t.equal(new SoakpError(400, 'SOAKP_REQUEST_INVALID', text).message, text)
  }
})
