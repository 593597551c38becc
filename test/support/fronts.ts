import { once } from 'node:events'
import { writeFile, mkdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'
import { run } from './process.ts'
import type { RunningProcess } from './process.ts'
import { temporaryFolder } from './soakp.ts'

/**
 * Starts nginx before a port of loopback, on a Unix socket whose path it returns; HTTP/2 is spoken, without TLS, on one
 * with `-http2` behind it. It gives a silent client up soon.
 */
export async function startNginxFront(t: Test, port: number): Promise<string> {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'temporary'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/temporary;`,
  )
  const socket = join(folder, 'socket')
  const config = `daemon off; master_process off; pid ${folder}/pid; error_log stderr crit; events {}
    http { access_log off; ${temporary.join(' ')}
      client_header_timeout 1s; client_body_timeout 1s; keepalive_timeout 1s; underscores_in_headers on;
      upstream soakp { server 127.0.0.1:${port}; keepalive 4; }
      server { listen unix:${socket}; listen unix:${socket}-http2 http2;
        location / { proxy_pass http://soakp; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;
          proxy_request_buffering off; proxy_buffering off; proxy_next_upstream off; proxy_read_timeout 5s; } } }`
  const file = join(folder, 'nginx.conf')
  await writeFile(file, config)
  await listening(run(t, 'nginx', ['-e', 'stderr', '-p', folder, '-c', file]), socket)
  return socket
}

/** Starts HAProxy in the same way. */
export async function startHaproxyFront(t: Test, port: number): Promise<string> {
  const folder = await temporaryFolder(t)
  const socket = join(folder, 'socket')
  const config = `defaults
  mode http
  timeout connect 5s
  timeout server 5s
  timeout client 1s
  timeout http-request 1s
  timeout http-keep-alive 1s
  http-reuse always
frontend all
  bind unix@${socket}
  bind unix@${socket}-http2 proto h2
  default_backend soakp
backend soakp
  server soakp 127.0.0.1:${port}
`
  const file = join(folder, 'haproxy.cfg')
  await writeFile(file, config)
  await listening(run(t, 'haproxy', ['-db', '-f', file]), socket)
  return socket
}

/** Waits until somebody listens on a Unix socket. */
async function listening(program: RunningProcess, path: string): Promise<void> {
  let printed: string | undefined
  void program.ended.then(({ stdout, stderr }) => (printed = stdout + stderr))
  for (;;) {
    const socket = connect(path)
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (isOpen) return
    if (printed !== undefined) throw new Error(`it does not start: ${printed}`)
    await setTimeout(5)
  }
}
