import { test } from 'tap'
import { surviveFirstStarts, surviveKills } from './support/durability.ts'

test('what was acknowledged survives 20 times kill -9', (t) => surviveKills(t, 20, 1))

test('a first start that is killed is made good by the next', (t) => surviveFirstStarts(t, 5, 2))
