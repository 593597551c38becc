/** A chain of numbers that is the same for the same seed, each from 0 up to but not 1. */
export function createRandom(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return (state - 1) / 2_147_483_646
  }
}

const STRANGE: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  '',
  'x',
  '\u0000\u001b[2J',
  'https://',
  'http://127.0.0.1:1/',
  'file:///etc/passwd',
  '../..',
  'valid',
  '2026-99-99T00:00:00Z',
  [],
  [[]],
  [null],
  {},
  { type: [], value: {} },
  { __proto__: null, constructor: 'x', toString: 1 },
]

/** Changes a JSON document somewhere: a value replaced, a key dropped, doubled or renamed, a list cut or nested. */
export function mutateDocument(document: unknown, random: () => number): unknown {
  const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random() * items.length)] as Item
  if (typeof document !== 'object' || document === null || random() < 0.15) return pick(STRANGE)
  if (Array.isArray(document)) {
    if (document.length === 0 || random() < 0.3) return [...document, pick(STRANGE), ...document]
    const at = Math.floor(random() * document.length)
    return document.map((item: unknown, index) => (index === at ? mutateDocument(item, random) : item))
  }
  const entries = Object.entries(document)
  const at = Math.floor(random() * entries.length)
  const how = random()
  return Object.fromEntries(
    entries.flatMap(([key, value], index): [string, unknown][] => {
      if (index !== at) return [[key, value]]
      if (how < 0.2) return []
      if (how < 0.3) return [[`${key}x`, value]]
      return [[key, mutateDocument(value, random)]]
    }),
  )
}

/** Damages a text: cut, doubled, a piece replaced by bytes that are none of UTF-8, wrapped. */
export function mutateText(text: string, random: () => number): string {
  const at = Math.floor(random() * text.length)
  const how = random()
  if (how < 0.3) return text.slice(0, at)
  if (how < 0.5) return text.slice(0, at) + '\ufffd\u0000' + text.slice(at + 1)
  if (how < 0.7) return text + text
  if (how < 0.85) return `${'['.repeat(20_000)}${text}`
  return ''
}
