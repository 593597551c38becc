import { test } from 'tap'
import { testHostileAnswers } from '../support/acme-hostile.ts'

test('20,000 changed answers end in right values or AcmeErrors', (t) =>
  testHostileAnswers(t, { from: 1000, to: 21_000 }))
