/**
 * The rule language read as plainly as possible, from the JSON of a condition: the measure for the compiled one. It
 * shares no code with it. Operands are taken to be of the right type.
 */

type Json = unknown
const isRecord = (value: Json): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** All values that a name leads to. */
function valuesOf(event: Json, name: string): Json[] {
  if (name === 'event.type') return valuesOf(event, 'type')
  if (name.startsWith('k8s.pod.label.')) {
    const [labels] = valuesOf(event, 'k8s.pod.label')
    const label = isRecord(labels) ? Object.entries(labels).find(([key]) => key === name.slice(14)) : undefined
    return label ? [label[1]] : []
  }
  let found: Json[] = [event]
  for (const part of name.split('.')) {
    found = found.flatMap((value) => {
      if (!isRecord(value)) return []
      if (part === 'parent') return Array.isArray(value.ancestors) ? value.ancestors.slice(0, 1) : []
      const next = Object.entries(value).find(([key]) => key === part)?.[1]
      return Array.isArray(next) ? next : next === undefined ? [] : [next]
    })
  }
  return found
}

/** An address as a number, and how many bits it has; IPv4 mapped into IPv6 is IPv4. */
function addressOf(text: string): { bits: 32 | 128; number: bigint } {
  const v4 = /^(?:::ffff:)?(\d+)\.(\d+)\.(\d+)\.(\d+)$/i.exec(text)
  if (v4) return { bits: 32, number: v4.slice(1).reduce((sum, part) => sum * 256n + BigInt(part), 0n) }
  const [head = '', tail = ''] = text.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const missing = 8 - groups(head).length - groups(tail).length
  const all = [...groups(head), ...Array.from({ length: missing }, () => '0'), ...groups(tail)]
  const number = all.reduce((sum, group) => sum * 65_536n + BigInt(`0x${group}`), 0n)
  return number >> 32n === 0xffffn ? { bits: 32, number: number & 0xffff_ffffn } : { bits: 128, number }
}

function same(value: Json, operand: Json, isAddress: boolean): boolean {
  if (!isAddress) return value === operand
  const [one, other] = [addressOf(String(value)), addressOf(String(operand))]
  return one.bits === other.bits && one.number === other.number
}

function inNetwork(value: string, network: string): boolean {
  const [address = '', prefix = ''] = network.split('/')
  const [one, other] = [addressOf(value), addressOf(address)]
  const shift = BigInt(other.bits - Number(prefix))
  return one.bits === other.bits && one.number >> shift === other.number >> shift
}

function globs(value: string, glob: string): boolean {
  if (glob === '') return value === ''
  if (glob.startsWith('*')) return globs(value, glob.slice(1)) || (value !== '' && globs(value.slice(1), glob))
  if (value === '') return false
  return (glob.startsWith('?') || glob.charAt(0) === value.charAt(0)) && globs(value.slice(1), glob.slice(1))
}

const listed = (operand: Json): Json[] => (Array.isArray(operand) ? operand : [operand])

/** What an operator says of one value. */
function says(operator: string, value: Json, operand: Json, isAddress: boolean): boolean {
  const [text, number] = [String(value), Number(value)]
  switch (operator) {
    case 'equals':
      return same(value, operand, isAddress)
    case 'in':
      return listed(operand).some((one) => same(value, one, isAddress))
    case 'startsWith':
      return listed(operand).some((one) => text.indexOf(String(one)) === 0)
    case 'endsWith':
      return listed(operand).some((one) => text.slice(Math.max(0, text.length - String(one).length)) === one)
    case 'contains':
      return listed(operand).some((one) => text.split(String(one)).length > 1 || one === '')
    case 'glob':
      return listed(operand).some((one) => globs(text, String(one)))
    case 'regex':
      return listed(operand).some((one) => new RegExp(String(one)).test(text))
    case 'cidr':
      return listed(operand).some((one) => inNetwork(text, String(one)))
    case 'gt':
      return number > Number(operand)
    case 'gte':
      return number >= Number(operand)
    case 'lt':
      return number < Number(operand)
    case 'lte':
      return number <= Number(operand)
    default:
      throw new Error(`no operator ${operator}`)
  }
}

function measures(operator: string, operand: Json, name: string, values: Json[], multiple: boolean): boolean {
  if (operator === 'exists') return values.length > 0 === operand
  if (values.length === 0) return false
  const size = multiple ? values.length : String(values[0]).length
  if (!isRecord(operand)) return size === operand
  return Object.entries(operand).every(([bound, limit]) => says(bound, size, limit, name === ''))
}

/** What the names in conditions stand for; and which fields have several values. */
export interface Names {
  readonly multiple: (name: string) => boolean
  readonly macros: Readonly<Record<string, Json>>
}

/** Does the condition, in JSON, hold of the event? */
export function interpret(condition: Json, event: Json, names: Names): boolean {
  if (!isRecord(condition)) throw new Error('a condition is an object')
  return Object.entries(condition).every(([key, value]) => {
    if (key === 'all') return listed(value).every((one) => interpret(one, event, names))
    if (key === 'any') return listed(value).some((one) => interpret(one, event, names))
    if (key === 'not') return !interpret(value, event, names)
    if (key === 'macro') return interpret(names.macros[String(value)], event, names)
    const asked = isRecord(value) ? Object.entries(value) : [['equals', value] as const]
    const values = valuesOf(event, key)
    return asked.every(([operator, operand]) => {
      if (operator === 'exists' || operator === 'length') {
        return measures(operator, operand, key, values, names.multiple(key))
      }
      if (operator === 'subset') {
        const isAllowed = (one: Json) => listed(operand).some((other) => same(one, other, key.endsWith('.ip')))
        return values.length > 0 && values.every(isAllowed)
      }
      return values.some((one) => says(operator, one, operand, key.endsWith('.ip')))
    })
  })
}
