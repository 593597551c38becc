import type { Certificates } from './certificates/index.ts'

/** Figures in the text format that Prometheus reads. */
export interface Metrics {
  readonly contentType: string
  readonly text: string
}

/** A value with the labels that tell it from others of its metric. */
type Labelled = readonly [labels: Readonly<Record<string, string>>, value: number]

/**
 * Returns the figures of the certificate; none without one to get. Each call has a registry of its own: what is no
 * more, such as a name server that was replaced, has no line.
 */
export async function readMetrics(certificates: Certificates | undefined): Promise<Metrics> {
  // Loading it takes long for a command, which has no use for it.
  const { Counter, Gauge, Registry } = await import('@prometheus-io/client')
  const registry = new Registry()
  const registers = [registry]

  function gauge(name: string, help: string, values: readonly Labelled[]): void {
    if (values.length === 0) return
    const metric = new Gauge({ name, help, labelNames: labelNames(values), registers })
    for (const [labels, value] of values) metric.set(labels, value)
  }

  function counter(name: string, help: string, values: readonly Labelled[]): void {
    if (values.length === 0) return
    const metric = new Counter({ name, help, labelNames: labelNames(values), registers })
    for (const [labels, value] of values) metric.inc(labels, value)
  }

  if (certificates !== undefined) {
    const { certificate, next_renewal: renewal } = await certificates.status()
    const { attempts, phases, problems, serverLag } = certificates.figures()
    if (certificate !== null) {
      gauge('soakp_certificate_not_after_seconds', 'End of the certificate, Unix seconds.', [
        [{}, certificate.not_after],
      ])
    }
    if (renewal !== null) {
      gauge('soakp_certificate_next_renewal_seconds', 'When it is renewed next, Unix seconds.', [[{}, renewal.at]])
    }
    counter('soakp_certificate_attempts_total', 'Attempts to get one since the start.', labelled('result', attempts))
    gauge(
      'soakp_certificate_phase_seconds',
      'How long each phase of the last attempt took.',
      labelled('phase', phases).map(([labels, ms]) => [labels, ms / 1_000]),
    )
    gauge(
      'soakp_dns_server_lag_seconds',
      'How long each name server took last time to have what was written.',
      serverLag.map(({ name, address, ms }) => [{ server: name, address }, ms / 1_000]),
    )
    counter('soakp_acme_problems_total', 'Problems of authorities since the start.', labelled('type', problems))
  }
  return { contentType: registry.contentType, text: await registry.metrics() }
}

function labelled(label: string, values: Readonly<Record<string, number>>): Labelled[] {
  return Object.entries(values).map(([name, value]) => [{ [label]: name }, value])
}

function labelNames([first]: readonly Labelled[]): string[] {
  return Object.keys(first?.[0] ?? {})
}
