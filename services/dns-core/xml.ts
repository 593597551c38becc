/** An element of an XML document. Attributes, comments and white space between elements are left out. */
export interface XmlElement {
  readonly name: string
  /** The text directly inside, entities resolved. */
  readonly text: string
  readonly children: readonly XmlElement[]
}

const TOKEN =
  /<\?xml[^>]*\?>|<!--[^]*?-->|<(\/?)([A-Za-z_][\w.:-]*)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|[^<]+/y
const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" }
const DEEPEST = 32

/**
 * Reads the plain XML that APIs answer with. Refuses what such answers do not contain: document types, CDATA,
 * processing instructions, unknown entities. Throws `SyntaxError`.
 */
export function readXml(text: string): XmlElement {
  const root = { name: '', text: '', children: [] as XmlElement[] }
  const open = [root]
  for (let from = 0; from < text.length;) {
    TOKEN.lastIndex = from
    const match = TOKEN.exec(text)
    const current = open.at(-1)
    if (match === null || current === undefined) throw new SyntaxError(`XML is not understood at ${from}`)
    const [whole, isEnd, name, , isEmpty] = match
    from += whole.length
    if (name === undefined) {
      if (!whole.startsWith('<')) current.text += resolveEntities(whole)
    } else if (isEnd === '/') {
      if (open.length === 1 || current.name !== name) throw new SyntaxError(`XML closes ${name}, which is not open`)
      open.pop()
    } else {
      const element = { name, text: '', children: [] as XmlElement[] }
      current.children.push(element)
      if (isEmpty === '') open.push(element)
      if (open.length > DEEPEST) throw new SyntaxError('XML is nested too deeply')
    }
  }
  const [element, ...more] = root.children
  if (element === undefined || more.length > 0 || open.length > 1 || root.text.trim() !== '') {
    throw new SyntaxError('XML is not one whole element')
  }
  return element
}

/** Returns the text at a path of element names, undefined where there is none. */
export function textAt(element: XmlElement, ...path: readonly string[]): string | undefined {
  let current: XmlElement | undefined = element
  for (const name of path) current = current?.children.find((child) => child.name === name)
  return current?.text
}

/** Returns all elements at a path; of its last step there may be many. */
export function elementsAt(element: XmlElement, ...path: readonly string[]): readonly XmlElement[] {
  const [name, ...rest] = path
  const found = element.children.filter((child) => child.name === name)
  return rest.length === 0 ? found : found.flatMap((child) => elementsAt(child, ...rest))
}

/** Writes text so that it means itself between tags. */
export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function resolveEntities(text: string): string {
  return text.replaceAll(
    /&(?:#x([\da-f]{1,6})|#(\d{1,7})|(\w+));|&/gi,
    (_, hex?: string, decimal?: string, name = '') => {
      const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16)
      if (Number.isInteger(code) && code > 0 && code <= 0x10_ff_ff) return String.fromCodePoint(code)
      const character = Object.hasOwn(ENTITIES, name) ? ENTITIES[name] : undefined
      if (character === undefined) throw new SyntaxError('XML has an entity that is not known')
      return character
    },
  )
}
