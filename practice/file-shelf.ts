import { PracticeError } from './errors.ts'
import { randomId, unixTime } from './ids.ts'

/** The file object of the API. */
export interface FileObject {
  readonly id: string
  readonly object: 'file'
  readonly bytes: number
  readonly created_at: number
  readonly filename: string
  readonly purpose: string
  readonly status: 'processed'
}

/** A file and its content, which is empty when it was longer than 8 MiB. */
export interface StoredFile {
  readonly object: FileObject
  readonly content: Buffer
}

/** Where files, uploads and batches put what they make; in memory. */
export interface FileShelf {
  /** Stores a file under a new id; `bytes` is the true length where the content was too long to keep. */
  add(filename: string, purpose: string, content: Buffer, bytes?: number): FileObject
  /** Returns a file or throws OpenAI's 404. */
  get(id: string): StoredFile
  /** Returns all files, newest first. */
  list(): readonly FileObject[]
  /** Removes a file if it is there. */
  remove(id: string): void
}

/** Makes an empty shelf. */
export function createFileShelf(): FileShelf {
  const files = new Map<string, StoredFile>()
  return {
    add(filename, purpose, content, bytes = content.length) {
      const id = randomId('file-')
      const object: FileObject = {
        object: 'file',
        id,
        purpose,
        filename,
        bytes,
        created_at: unixTime(),
        status: 'processed',
      }
      files.set(id, { object, content })
      return object
    },
    get(id) {
      const file = files.get(id)
      if (file === undefined) throw new PracticeError(404, `No such File object: ${id}`, { param: 'id' })
      return file
    },
    list: () => [...files.values()].map(({ object }) => object).toReversed(),
    remove: (id) => void files.delete(id),
  }
}
