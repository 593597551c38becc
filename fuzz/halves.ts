/** Returns the one of several numbers that `isIn` tells to be in a half of them, and then in a half of that, and so on. */
export async function findByHalves(
  from: number,
  to: number,
  isIn: (from: number, to: number) => Promise<boolean>,
): Promise<number> {
  let [low, high] = [from, to]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (await isIn(low, middle)) high = middle
    else low = middle
  }
  return low
}
