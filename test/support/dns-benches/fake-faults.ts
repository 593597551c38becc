import type { FakeAnswer, FakeServer, Fault } from '../dns-fakes/server.ts'
import type { Faults } from './bench.ts'

const BROKEN: FakeAnswer = { status: 503, headers: { 'content-type': 'text/html' }, body: '<html>unavailable' }

/** The faults of a fake; `limit` is how its API says that there are too many calls. */
export function faultsOf(fake: FakeServer, limit: (seconds: number) => FakeAnswer): Faults {
  const fail = (fault: Fault) => fake.fail(fault)
  return {
    failWrite: () => fail({ on: 'write', when: 'before', answer: BROKEN }),
    loseAnswer: () => fail({ on: 'write', when: 'after', answer: BROKEN }),
    resetAfterWrite: () => fail({ on: 'write', when: 'after', answer: 'reset' }),
    limit: (seconds) => fail({ on: 'write', when: 'before', answer: limit(seconds) }),
    silence: () => fail({ on: 'write', when: 'before', answer: 'silence' }),
    meanwhile: (act) => fail({ on: 'write', when: 'before', meanwhile: act }),
  }
}
