/**
 * An alert as an OpenTelemetry log record. The alert's names follow the semantic conventions already, so its objects
 * become attributes by their paths; the few that are called otherwise there are in the table. What OpenTelemetry has no
 * name for is under `nightjar.`. https://opentelemetry.io/docs/specs/semconv/
 */
import type { Alert, Severity } from '../sensor/alert.ts'
import type { AnyValue, Fixed64, KeyValue, LogRecord, ResourceLogs } from './otlp-messages.ts'

/** The data model's ranges: INFO 9 to 12, WARN 13 to 16, ERROR 17 to 20, FATAL from 21. */
const severityNumbers: Record<Severity, number> = { critical: 21, high: 17, medium: 13, low: 10, info: 9 }

/** Paths that have another name there. */
const renamed = new Map([
  ['destination.ip', 'destination.address'],
  ['source.ip', 'source.address'],
  ['process.ppid', 'process.parent_pid'],
  ['process.start_time', 'process.creation.time'],
  ['process.exit_code', 'process.exit.code'],
  ['container.runtime', 'container.runtime.name'],
  ['error.code', 'error.type'],
])

/** The objects of an alert that have names of OpenTelemetry's; everything else is Nightjar's own. */
const conventional = new Set([
  'process',
  'file',
  'destination',
  'source',
  'network',
  'dns',
  'container',
  'k8s',
  'error',
])
/** Told elsewhere in the record or the resource. */
const apart = new Set(['message', 'time', 'host'])

export function logRecord(alert: Alert, observed: number): LogRecord {
  return {
    timeUnixNano: nanoseconds(alert.time),
    observedTimeUnixNano: fixed64(BigInt(Math.round(observed)) * 1_000_000n),
    severityNumber: severityNumbers[alert.severity],
    severityText: alert.severity.toUpperCase(),
    body: { stringValue: alert.message.toWellFormed() },
    attributes: Object.entries(alert).flatMap(([key, value]) => {
      if (apart.has(key)) return []
      return attributes(conventional.has(key) ? key : `nightjar.${key}`, value)
    }),
    eventName: 'nightjar.alert',
  }
}

/** One for each node and cluster that the alerts are of: of a sensor's own alerts there is one. */
export function resourceLogs(
  alerts: readonly Alert[],
  { observed, resource }: { observed: number; resource: Readonly<Record<string, string>> },
): ResourceLogs[] {
  const groups = new Map<string, Alert[]>()
  for (const alert of alerts) {
    const key = JSON.stringify([placeOf(alert), alert.sensor.version])
    groups.set(key, [...(groups.get(key) ?? []), alert])
  }
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { version } = first.sensor
    const place = { 'service.name': 'nightjar', 'service.version': version, ...placeOf(first), ...resource }
    return {
      resource: { attributes: Object.entries(place).flatMap(([key, value]) => attributes(key, value)) },
      scopeLogs: [
        { scope: { name: 'nightjar', version }, logRecords: group.map((alert) => logRecord(alert, observed)) },
      ],
    }
  })
}

function placeOf({ host, k8s, sensor }: Alert): Record<string, string> {
  const place = {
    'service.instance.id': sensor.node,
    'host.name': host?.name ?? sensor.node,
    'os.type': 'linux',
    'os.version': host?.kernel,
    'k8s.node.name': k8s?.node?.name,
    'k8s.cluster.name': k8s?.cluster?.name,
  }
  return Object.fromEntries(Object.entries(place).filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** By paths, down to what is no object; what is unknown has no attribute. */
function attributes(path: string, value: unknown): KeyValue[] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, item]) => attributes(`${path}.${key}`, item))
  }
  const any = anyValue(value)
  return any === undefined ? [] : [{ key: renamed.get(path) ?? path.toWellFormed(), value: any }]
}

function anyValue(value: unknown): AnyValue | undefined {
  switch (typeof value) {
    case 'string':
      return { stringValue: value.toWellFormed() }
    case 'boolean':
      return { boolValue: value }
    case 'number':
      return Number.isSafeInteger(value) ? { intValue: value } : { doubleValue: value }
    case 'object': {
      if (value === null) return undefined
      if (Array.isArray(value)) {
        return { arrayValue: { values: value.map(anyValue).filter((item) => item !== undefined) } }
      }
      const entries = Object.entries(value).map(([key, item]) => ({ key: key.toWellFormed(), value: anyValue(item) }))
      return { kvlistValue: { values: entries.filter((entry): entry is KeyValue => entry.value !== undefined) } }
    }
    default:
      return undefined
  }
}

/** Of an RFC 3339 time in UTC, with all its digits. */
function nanoseconds(time: string): Fixed64 {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? ''
  const seconds = Math.floor(Date.parse(time) / 1000)
  return fixed64(BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0').slice(0, 9)))
}

function fixed64(value: bigint): Fixed64 {
  return { low: Number(value & 0xffffffffn), high: Number((value >> 32n) & 0xffffffffn), unsigned: true }
}
