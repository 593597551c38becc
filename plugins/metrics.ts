import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { readMetrics } from '../services/certificate-metrics.ts'
import type { Metrics } from '../services/certificate-metrics.ts'

/** Provides the figures that Prometheus reads. */
async function metrics(app: FastifyInstance): Promise<void> {
  app.decorate('readMetrics', () => readMetrics(app.certificates))
}

export default fp(metrics, { name: 'metrics', fastify: '5.x', dependencies: ['certificates'] })

declare module 'fastify' {
  interface FastifyInstance {
    readonly readMetrics: () => Promise<Metrics>
  }
}
