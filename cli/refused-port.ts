import { shellWord } from './package.ts'

/** Ports below this one need a right on most systems. */
const FIRST_FREE_PORT = 1_024

/** Says what to do about a port that another program listens on; `error` is what listening threw. */
export function takenPort(error: unknown): string {
  const { port } = error as { port?: number }
  const look =
    process.platform === 'linux' && port !== undefined ? ` (\`ss -ltnp 'sport = :${port}'\` shows which)` : ''
  return `${placeOf(error)} is in use by another program${look}. Stop it, or set SOAKP_PORT to another port${forward(port)}.`
}

/** Says how to get a port that this user may not listen on; `error` is what listening threw. */
export function refusedPort(error: unknown): string {
  const { port } = error as { port?: number }
  const refused = `${placeOf(error)} may not be used by this user.`
  if (port === undefined || port >= FIRST_FREE_PORT) return `${refused} Set SOAKP_PORT to another port.`
  const grant =
    process.platform === 'linux'
      ? [
          ` Allow it by \`sudo setcap cap_net_bind_service=+ep ${shellWord(process.execPath)}\`,`,
          'by AmbientCapabilities=CAP_NET_BIND_SERVICE in a systemd unit (deploy/soakp.service has it),',
          'or by --sysctl net.ipv4.ip_unprivileged_port_start=0 of a container; or set',
        ].join(' ')
      : ' Set'
  return `${refused}${grant} SOAKP_PORT to ${FIRST_FREE_PORT} or more${forward(port)}.`
}

/** Clients of a domain look for it at the port of HTTPS. */
function forward(port: number | undefined): string {
  return port === 443 ? ' and forward 443 to it' : ''
}

function placeOf(error: unknown): string {
  const { address, port } = error as { address?: string; port?: number }
  return port === undefined ? 'The address' : `Port ${port} on ${address ?? 'this machine'}`
}
