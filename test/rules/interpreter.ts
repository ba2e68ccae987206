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
  for (const map of ['k8s.pod.label', 'k8s.pod.annotation']) {
    if (!name.startsWith(`${map}.`)) continue
    const [entries] = valuesOf(event, map)
    const entry = isRecord(entries) ? Object.entries(entries).find(([key]) => `${map}.${key}` === name) : undefined
    return entry ? [entry[1]] : []
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

interface StepInJson {
  readonly on: readonly string[]
  readonly when: Json
  readonly negated?: boolean
}

export interface RuleInJson {
  readonly on?: readonly string[]
  readonly when?: Json
  readonly unless?: readonly { readonly when: Json; readonly expires?: string; readonly phase?: Json }[]
  readonly phase?: Json
  readonly sequence?: { readonly steps: readonly StepInJson[]; readonly by: Json; readonly within: string }
  readonly threshold?: { count: number; distinct?: string; by: readonly string[]; within: string }
}

type EventInJson = { readonly type: string; readonly time: number }

/** Only seconds are used in the tests. */
const milliseconds = (duration: string): number => Number.parseFloat(duration) * 1000

const keyOf = (event: Json, fields: readonly string[]): string =>
  JSON.stringify(fields.map((name) => valuesOf(event, name)))

/** Is the event in the phase? Only the forms that the tests use. */
function isIn(phase: Json, event: EventInJson): boolean {
  if (phase === undefined) return true
  if (phase === 'break-glass') {
    const [pod] = valuesOf(event, 'k8s.pod')
    const [annotations] = isRecord(pod) ? valuesOf(pod, 'annotation') : []
    const text = isRecord(annotations) ? String(annotations['nightjar.dev/break-glass']) : ''
    const end = /expires"?[=:]"?([0-9T:Z-]+)/.exec(text)?.[1]
    return end !== undefined && event.time < Date.parse(end.length === 10 ? `${end}T24:00:00Z` : end)
  }
  const [[kind, length]] = isRecord(phase) ? Object.entries(phase) : [[phase, '60s']]
  const [start] = valuesOf(event, 'container.start_time')
  const isStarting = start !== undefined && event.time < Number(start) + milliseconds(String(length))
  return isStarting === (kind === 'startup')
}

/** Who a process is; and the trees that an event is in, the first being the one it may begin. */
function treesOf(event: Json): string[] {
  const [process] = valuesOf(event, 'process')
  if (!isRecord(process)) return []
  const lineage = [process, ...valuesOf(event, 'process.ancestors')].filter(isRecord)
  const names = lineage.map(({ pid, start_time }) => (pid === undefined ? undefined : `${pid}/${start_time ?? ''}`))
  const isRoot = lineage[1] !== undefined && Number(lineage[1].pid ?? 0) > 2
  return [names[isRoot ? 1 : 0], ...names].filter((name) => name !== undefined)
}

/**
 * The times of the events, as if the clock had never been set back: an event more than a minute behind the newest before it
 * has another clock, and so have all that follow.
 */
function steadyTimes(events: readonly EventInJson[]): Map<EventInJson, number> {
  const times = events.map(({ time }) => time)
  for (let at = 1; at < times.length; at++) {
    const back = Math.max(...times.slice(0, at)) - (times[at] ?? 0)
    if (back > 60_000) for (let later = at; later < times.length; later++) times[later] = (times[later] ?? 0) + back
  }
  return new Map(events.map((event, at) => [event, times[at] ?? 0]))
}

/** For each event, does the rule raise an alert about it, at once or later? Every alert looks back on all that came before. */
export function interpretRule(rule: RuleInJson, events: readonly EventInJson[], names: Names): boolean[] {
  const is = ({ on, when }: { on?: readonly string[]; when?: Json }, event: EventInJson): boolean =>
    (on ?? []).includes(event.type) && interpret(when, event, names)
  /** The rule's own phase is one thing more that lets an event count for nothing. */
  const isExcepted = (event: EventInJson): boolean =>
    !isIn(rule.phase, event) ||
    (rule.unless ?? []).some(({ when, expires, phase }) => {
      return (
        isIn(phase, event) &&
        interpret(when, event, names) &&
        (expires === undefined || event.time < Date.parse(expires))
      )
    })
  const times = steadyTimes(events)
  const timeOf = (event: EventInJson): number => times.get(event) ?? Number.NaN
  /** By key: the events up to this index are told of. */
  const told = new Map<string, number>()

  const { sequence, threshold } = rule
  if (sequence) {
    const { by } = sequence
    const within = milliseconds(sequence.within)
    const first = sequence.steps.findIndex((one) => !one.negated)
    const last = sequence.steps.findLastIndex((one) => !one.negated)
    const [before, steps, after] = [
      sequence.steps.slice(0, first),
      sequence.steps.slice(first, last + 1),
      sequence.steps.slice(last + 1),
    ]
    const keysOf = (event: Json): string[] => {
      if (by === 'process_tree') return [...new Set(treesOf(event).slice(1))]
      return [keyOf(event, by === 'container' ? ['container.id'] : (by as string[]))]
    }
    const rootOf = (event: Json) => (by === 'process_tree' ? treesOf(event)[0] : keysOf(event)[0])
    /** Can the steps from `step` on be found after the event at `from`, so that the last is the event at `end`? */
    const goesOn = (key: string, step: number, from: number, end: number, latest: number): boolean => {
      if (step === steps.length) return from === end
      const next = steps.findIndex((one, index) => index >= step && !one.negated)
      const forbidden = steps.slice(step, next)
      for (let at = from + 1; at <= end; at++) {
        const event = events[at]
        const wanted = steps[next]
        if (!event || !wanted || !keysOf(event).includes(key)) continue
        const fits = is(wanted, event) && timeOf(event) <= latest
        if (fits && next === steps.length - 1 && at === end) return true
        if (fits && next < steps.length - 1 && goesOn(key, next + 1, at, end, latest)) return true
        if (forbidden.some((one) => is(one, event))) return false
      }
      return false
    }
    /** Told of, by key: what began until that time. */
    const toldUntil = new Map<string, number>()
    /** When the sequences began that end with that event, of those that are not told. */
    const startsOf = (key: string, end: number): number[] =>
      events.flatMap((event, at) => {
        const [begin] = steps
        if (at <= (told.get(key) ?? -1) || at > end || !begin || !is(begin, event) || rootOf(event) !== key) return []
        if (timeOf(event) <= (toldUntil.get(key) ?? -Infinity)) return []
        const isForewarned = events
          .slice(0, at)
          .some(
            (one) =>
              before.some((step) => is(step, one)) &&
              keysOf(one).includes(key) &&
              timeOf(event) - timeOf(one) <= within,
          )
        return !isForewarned && goesOn(key, 1, at, end, timeOf(event) + within) ? [timeOf(event)] : []
      })

    const alerts = events.map(() => false)
    let awaited: { key: string; keys: string[]; at: number; end: number }[] = []
    const tellUntil = (time: number): void => {
      for (const { keys, at, end } of awaited.filter((one) => one.end < time)) {
        alerts[at] = true
        for (const key of keys) toldUntil.set(key, end)
      }
      awaited = awaited.filter((one) => one.end >= time)
    }
    let clock = -Infinity
    for (const [at, event] of events.entries()) {
      clock = Math.max(clock, timeOf(event))
      tellUntil(clock - 5000)
      if (after.some((one) => is(one, event))) {
        awaited = awaited.filter(({ key, end }) => !keysOf(event).includes(key) || timeOf(event) > end)
      }
      const keys = keysOf(event).filter((key) => startsOf(key, at).length > 0)
      const [key] = keys
      if (key === undefined || isExcepted(event)) continue
      if (after.length === 0) {
        alerts[at] = true
        for (const each of keys) told.set(each, at)
      } else if (!awaited.some((one) => one.key === key)) {
        awaited.push({ key, keys, at, end: Math.max(...startsOf(key, at)) + within })
      }
    }
    tellUntil(Infinity)
    return alerts
  }

  return events.map((event, end) => {
    if (!is(rule, event) || isExcepted(event)) return false
    if (!threshold) return true
    const key = keyOf(event, threshold.by)
    const { distinct } = threshold
    if (distinct !== undefined && valuesOf(event, distinct).length === 0) return false
    // Late events change nothing about what time it is.
    const heard = events.slice(0, end + 1).filter((one) => is(rule, one) && !isExcepted(one))
    const latest = Math.max(...heard.map((one) => timeOf(one)))
    const together = events
      .slice((told.get(key) ?? -1) + 1, end + 1)
      .filter((one) => is(rule, one) && !isExcepted(one) && keyOf(one, threshold.by) === key)
      .filter((one) => latest - timeOf(one) <= milliseconds(threshold.within))
    const values = distinct === undefined ? together : [...new Set(together.flatMap((one) => valuesOf(one, distinct)))]
    if (values.length < threshold.count) return false
    told.set(key, end)
    return true
  })
}
