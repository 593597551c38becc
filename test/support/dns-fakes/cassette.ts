import { readFileSync } from 'node:fs'
import { readXml } from '../../../services/dns-core/xml.ts'
import type { XmlElement } from '../../../services/dns-core/xml.ts'

/** A call of the real API and its answer. */
export interface Recorded {
  readonly method: string
  readonly url: string
  readonly body: string
  readonly status: number
  readonly answer: string
}

/** Reads the recorded traffic of a provider. */
export function readCassette(provider: string): readonly Recorded[] {
  const file = new URL(`../../fixtures/dns-cassettes/${provider}.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as Recorded[]
}

/** The shape of JSON: paths of keys with the types at their ends, sorted. */
export function shapeOfJson(value: unknown, path = ''): readonly string[] {
  if (Array.isArray(value)) return unique([`${path}[]`, ...value.flatMap((each) => shapeOfJson(each, `${path}[]`))])
  if (typeof value !== 'object' || value === null) return [`${path}: ${value === null ? 'null' : typeof value}`]
  const fields = Object.entries(value).flatMap(([key, field]) => shapeOfJson(field, `${path}.${key}`))
  return unique([`${path}{}`, ...fields])
}

/** The shape of XML: paths of elements, sorted. */
export function shapeOfXml(text: string): readonly string[] {
  const pathsOf = (element: XmlElement, path: string): string[] => {
    const own = `${path}/${element.name}`
    return [own, ...element.children.flatMap((child) => pathsOf(child, own))]
  }
  return unique(pathsOf(readXml(text), ''))
}

const unique = (paths: readonly string[]) => [...new Set(paths)].toSorted()
