import { startPracticeUpstream } from '../practice/upstream.ts'

const upstream = await startPracticeUpstream({ recordLimit: 0 })
process.send?.({ url: upstream.url, key: upstream.key })
process.on('disconnect', () => void upstream.close().then(() => process.exit(0)))
