import { test } from 'tap'
import { startOwn, startReal } from '../support/acme-authorities.ts'
import { testBadNonces, testClient, testExternalAccounts } from '../support/acme-suite.ts'
import { pebbleIsMissing } from '../support/pebble.ts'

test('an authority of our own', (t) => testClient(t, startOwn))

test('external accounts of an authority of our own', (t) => testExternalAccounts(t, startOwn))

test('Pebble', { skip: pebbleIsMissing }, (t) => testClient(t, startReal))

test('external accounts of Pebble', { skip: pebbleIsMissing }, (t) => testExternalAccounts(t, startReal))

test('Pebble with 30 % bad nonces', { skip: pebbleIsMissing }, (t) => testBadNonces(t, startReal))
