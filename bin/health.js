// Asks the SOAKP of this data folder whether it can serve, for HEALTHCHECK: exit code 0 or 1. It loads nothing of SOAKP.
import { request as requestPlainly } from 'node:http'
import { request as requestSecurely } from 'node:https'
import { join } from 'node:path'

const { SOAKP_DATA_DIR = './data', SOAKP_DOMAIN, SOAKP_TLS } = process.env
const { SOAKP_PORT = SOAKP_DOMAIN ? '443' : '3033' } = process.env

/** Asks by the socket in the data folder, or, on file systems that have no sockets, by the port. */
async function isReady() {
  const byPort = { host: '127.0.0.1', port: SOAKP_PORT }
  try {
    return await ask(requestPlainly, { socketPath: join(SOAKP_DATA_DIR, 'soakp.sock') })
  } catch {
    // The certificate is for other names than this, and nothing secret is sent.
    return SOAKP_TLS === 'off'
      ? ask(requestPlainly, byPort)
      : ask(requestSecurely, { ...byPort, rejectUnauthorized: false })
  }
}

function ask(request, where) {
  return new Promise((resolve, reject) => {
    const call = request({ ...where, path: '/soakp/ready', timeout: 4_000 }, (answer) =>
      resolve(answer.statusCode === 200),
    )
    call.on('timeout', () => call.destroy(new Error('no answer')))
    call.on('error', reject)
    call.end()
  })
}

isReady().then(
  (ready) => process.exit(ready ? 0 : 1),
  (error) => {
    process.stderr.write(`soakp: not ready: ${error.message}\n`)
    process.exit(1)
  },
)
