/** Splits a line of words, so that a long list of names stays readable. */
export function words(line: string): string[] {
  return line.split(' ')
}
