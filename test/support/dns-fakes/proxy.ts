// tsyringe inside @peculiar/x509 does not load without it (PeculiarVentures/x509#116).
import 'reflect-metadata' // oxlint-disable-line import/no-unassigned-import
import { KeyObject, webcrypto } from 'node:crypto'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import * as x509 from '@peculiar/x509'
import type { Test } from 'tap'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 86_400_000

/** Makes a certificate for the host of an API; who is to believe it trusts it by itself. */
export async function certificateFor(host: string): Promise<{ readonly key: string; readonly cert: string }> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: `CN=${host}`,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: host }]),
      ],
    },
    webcrypto,
  )
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString()
  return { cert: certificate.toString('pem'), key }
}

/** Starts a proxy (CONNECT) that leads one host to a port of this machine, and nothing else anywhere. Returns its URL. */
export async function startProxy(t: Test, host: string, port: number): Promise<string> {
  const sockets = new Set<Socket>()
  const proxy = createServer()
  proxy.on('connect', ({ url }, client: Socket) => {
    sockets.add(client)
    client.on('error', () => client.destroy())
    if (url !== `${host}:443`) {
      client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
      return
    }
    const fake = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 OK\r\n\r\n')
      client.pipe(fake).pipe(client)
    })
    sockets.add(fake)
    fake.on('error', () => client.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    proxy.close()
  })
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
}
