import { audioRoutes } from './audio.ts'
import { batchRoutes } from './batches.ts'
import { chatRoutes } from './chat.ts'
import { completionRoutes } from './completions.ts'
import { embeddingRoutes } from './embeddings.ts'
import { createFileShelf } from './file-shelf.ts'
import { fileRoutes } from './files.ts'
import { imageRoutes } from './images.ts'
import { modelRoutes } from './models.ts'
import { moderationRoutes } from './moderations.ts'
import { realtimeRoutes } from './realtime.ts'
import { responseRoutes } from './responses.ts'
import type { Route } from './router.ts'
import { uploadRoutes } from './uploads.ts'

/** Makes the endpoints of one upstream, with a memory of their own; work in the background ends with the signal. */
export function createRoutes(closing: AbortSignal): readonly Route[] {
  const shelf = createFileShelf()
  return [
    ...modelRoutes(),
    ...chatRoutes,
    ...responseRoutes(closing),
    ...completionRoutes,
    ...embeddingRoutes,
    ...moderationRoutes,
    ...fileRoutes(shelf),
    ...uploadRoutes(shelf),
    ...batchRoutes(shelf),
    ...audioRoutes,
    ...imageRoutes,
    ...realtimeRoutes,
  ]
}
