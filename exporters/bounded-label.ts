/** Keeps a label's values few: the first ones that come are told by name, the others are one. */
export function boundedLabel(most: number): (value: string) => string {
  const told = new Set<string>()
  return (value) => {
    if (told.has(value)) return value
    if (told.size >= most) return 'other'
    told.add(value)
    return value
  }
}
