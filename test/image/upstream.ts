import { startPracticeUpstream } from '../../practice/upstream.ts'

// Prints the base URL and the key of a practice upstream that runs until it is stopped.
const { url, key } = await startPracticeUpstream()
process.stdout.write(`${url} ${key}\n`)
