import { constants } from 'node:os'

const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

/** What a system call returned -> what an event tells of its failure; undefined if it succeeded. */
export function errorOf(returned: number): { code: string } | undefined {
  if (returned >= 0) return undefined
  return { code: names.get(-returned) ?? `errno ${-returned}` }
}
