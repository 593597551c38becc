import { test } from 'tap'
import { surviveFirstStarts, surviveKills } from '../support/durability.ts'

// Every run has moments of its own; SEED repeats one.
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32)

test('what was acknowledged survives 500 times kill -9', (t) => surviveKills(t, 500, seed))

test('a first start that is killed at any point is made good by the next', (t) => surviveFirstStarts(t, 100, seed))
