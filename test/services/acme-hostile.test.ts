import { test } from 'tap'
import { testHostileAnswers } from '../support/acme-hostile.ts'

test('whatever an authority answers, a call ends with a right value or an AcmeError', (t) =>
  testHostileAnswers(t, { from: 1, to: 200 }))
