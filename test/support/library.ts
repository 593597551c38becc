import { join } from 'node:path'
import type { Test } from 'tap'
import { createSoakp } from '../../index.ts'
import type { Settings } from '../../index.ts'
import { startPracticeUpstream } from '../../practice/upstream.ts'
import type { PracticeUpstream, RecordedRequest } from '../../practice/upstream.ts'
import { temporaryFolder } from './soakp.ts'
import { eventually } from './wire.ts'

/** Makes a SOAKP within this process, with a practice upstream and a key saved. All ends with the test. */
export async function startLibrary(t: Test, more: Settings = {}) {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  const dataDir = join(await temporaryFolder(t), 'data')
  const settings = { dataDir, upstream: upstream.url, ...more }
  const soakp = createSoakp(settings)
  t.teardown(() => soakp.close())
  const token = await soakp.saveKey(upstream.key)
  /** Waits until the upstream has seen that its last call was ended before it was answered. */
  const wasEnded = () => eventually('the end at the upstream', () => lastOf(upstream).aborted)
  return { soakp, upstream, dataDir, settings, token, wasEnded }
}

/** Returns the last call that an upstream saw. */
export function lastOf({ requests }: PracticeUpstream): RecordedRequest {
  const last = requests.at(-1)
  if (last === undefined) throw new Error('the upstream was not called')
  return last
}
