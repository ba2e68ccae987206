/**
 * The OTLP messages that logs need, by the field numbers of opentelemetry-proto 1.x: collector/logs/v1, logs/v1,
 * common/v1, resource/v1. Names are in protobufjs's camel case.
 */
import protobuf from 'protobufjs'

const field = (id: number, type: string) => ({ id, type })
const repeated = (id: number, type: string) => ({ id, type, rule: 'repeated' })

const root = protobuf.Root.fromJSON({
  nested: {
    ExportLogsServiceRequest: { fields: { resourceLogs: repeated(1, 'ResourceLogs') } },
    ExportLogsServiceResponse: { fields: { partialSuccess: field(1, 'ExportLogsPartialSuccess') } },
    ExportLogsPartialSuccess: { fields: { rejectedLogRecords: field(1, 'int64'), errorMessage: field(2, 'string') } },
    ResourceLogs: { fields: { resource: field(1, 'Resource'), scopeLogs: repeated(2, 'ScopeLogs') } },
    Resource: { fields: { attributes: repeated(1, 'KeyValue') } },
    ScopeLogs: { fields: { scope: field(1, 'InstrumentationScope'), logRecords: repeated(2, 'LogRecord') } },
    InstrumentationScope: { fields: { name: field(1, 'string'), version: field(2, 'string') } },
    LogRecord: {
      fields: {
        timeUnixNano: field(1, 'fixed64'),
        severityNumber: field(2, 'int32'),
        severityText: field(3, 'string'),
        body: field(5, 'AnyValue'),
        attributes: repeated(6, 'KeyValue'),
        observedTimeUnixNano: field(11, 'fixed64'),
        eventName: field(12, 'string'),
      },
    },
    KeyValue: { fields: { key: field(1, 'string'), value: field(2, 'AnyValue') } },
    AnyValue: {
      oneofs: {
        value: { oneof: ['stringValue', 'boolValue', 'intValue', 'doubleValue', 'arrayValue', 'kvlistValue'] },
      },
      fields: {
        stringValue: field(1, 'string'),
        boolValue: field(2, 'bool'),
        intValue: field(3, 'int64'),
        doubleValue: field(4, 'double'),
        arrayValue: field(5, 'ArrayValue'),
        kvlistValue: field(6, 'KeyValueList'),
      },
    },
    ArrayValue: { fields: { values: repeated(1, 'AnyValue') } },
    KeyValueList: { fields: { values: repeated(1, 'KeyValue') } },
  },
})

const request = root.lookupType('ExportLogsServiceRequest')
const response = root.lookupType('ExportLogsServiceResponse')

export type AnyValue =
  | { stringValue: string }
  | { boolValue: boolean }
  | { intValue: number }
  | { doubleValue: number }
  | { arrayValue: { values: AnyValue[] } }
  | { kvlistValue: { values: KeyValue[] } }

export interface KeyValue {
  key: string
  value: AnyValue
}

/** Nanoseconds don't fit a double: protobufjs takes the two halves of 64 bits. */
export interface Fixed64 {
  low: number
  high: number
  unsigned: true
}

export interface LogRecord {
  timeUnixNano: Fixed64
  observedTimeUnixNano: Fixed64
  severityNumber: number
  severityText: string
  body: AnyValue
  attributes: KeyValue[]
  eventName: string
}

export interface ResourceLogs {
  resource: { attributes: KeyValue[] }
  scopeLogs: { scope: { name: string; version: string }; logRecords: LogRecord[] }[]
}

export function encodeLogs(resourceLogs: ResourceLogs[]): Uint8Array {
  // Not by way of fromObject, which makes doubles of 64 bits.
  return request.encode({ resourceLogs }).finish()
}

/** What a receiver that took the request says it did not take; undefined if the answer is no such message. */
export function decodePartialSuccess(body: Uint8Array): { rejected: number; message: string } | undefined {
  try {
    const { partialSuccess = {} } = response.toObject(response.decode(body), { longs: Number })
    return { rejected: Number(partialSuccess.rejectedLogRecords ?? 0), message: partialSuccess.errorMessage ?? '' }
  } catch {
    return undefined
  }
}
