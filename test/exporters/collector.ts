/** A real HTTP server on loopback that takes OTLP logs, and reads them by a schema of its own. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'
import protobuf from 'protobufjs'

/** opentelemetry-proto 1.x, what of it is about logs. */
const schema = `
syntax = "proto3";
package otlp;
message ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1; }
message ExportLogsServiceResponse { ExportLogsPartialSuccess partial_success = 1; }
message ExportLogsPartialSuccess { int64 rejected_log_records = 1; string error_message = 2; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; string schema_url = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
message ScopeLogs { InstrumentationScope scope = 1; repeated LogRecord log_records = 2; string schema_url = 3; }
message InstrumentationScope { string name = 1; string version = 2; repeated KeyValue attributes = 3; }
enum SeverityNumber { UNSPECIFIED = 0; TRACE = 1; DEBUG = 5; INFO = 9; INFO2 = 10; WARN = 13; ERROR = 17; FATAL = 21; }
message LogRecord {
  fixed64 time_unix_nano = 1;
  SeverityNumber severity_number = 2;
  string severity_text = 3;
  AnyValue body = 5;
  repeated KeyValue attributes = 6;
  uint32 dropped_attributes_count = 7;
  fixed32 flags = 8;
  bytes trace_id = 9;
  bytes span_id = 10;
  fixed64 observed_time_unix_nano = 11;
  string event_name = 12;
}
message AnyValue {
  oneof value {
    string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
    ArrayValue array_value = 5; KeyValueList kvlist_value = 6; bytes bytes_value = 7;
  }
}
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
message KeyValue { string key = 1; AnyValue value = 2; }
`
const { root } = protobuf.parse(schema, { keepCase: true })
const request = root.lookupType('otlp.ExportLogsServiceRequest')
const response = root.lookupType('otlp.ExportLogsServiceResponse')

type Values = Record<string, unknown>
export interface Record_ {
  attributes: Values
  body: unknown
  severity_number: string
  severity_text: string
  event_name: string
  /** Read from the bytes by hand: nanoseconds are no doubles. */
  nanoseconds: bigint
}
export interface Export {
  headers: IncomingHttpHeaders
  path: string
  /** Bytes on the wire. */
  length: number
  resources: { attributes: Values; scope: string; records: Record_[] }[]
}

interface Raw {
  [key: string]: unknown
}

function plain(any: Raw | undefined): unknown {
  const [[kind, value] = ['', undefined]] = Object.entries(any ?? {})
  if (kind === 'array_value') return ((value as Raw).values as Raw[] | undefined)?.map(plain) ?? []
  if (kind === 'kvlist_value') return named((value as Raw).values as Raw[] | undefined)
  return kind === 'int_value' ? Number(value) : value
}

const named = (pairs: Raw[] = []): Values =>
  Object.fromEntries(pairs.map(({ key, value }) => [key as string, plain(value as Raw)]))

function read(body: Buffer): Export['resources'] {
  const message = request.decode(body)
  const problem = request.verify(message)
  if (problem) throw new Error(problem)
  const { resource_logs = [] } = request.toObject(message, { enums: String, longs: String }) as {
    resource_logs?: Raw[]
  }
  return resource_logs.map(({ resource, scope_logs }) => {
    const [{ scope, log_records } = {}] = (scope_logs ?? []) as Raw[]
    return {
      attributes: named((resource as Raw | undefined)?.attributes as Raw[]),
      scope: ((scope as Raw | undefined)?.name as string) ?? '',
      records: ((log_records ?? []) as Raw[]).map((record) => ({
        attributes: named(record.attributes as Raw[]),
        body: plain(record.body as Raw | undefined) ?? '',
        severity_number: record.severity_number as string,
        severity_text: record.severity_text as string,
        event_name: record.event_name as string,
        nanoseconds: BigInt((record.time_unix_nano as string | undefined) ?? 0),
      })),
    }
  })
}

export const partialSuccess = (rejected: number, error_message: string): Uint8Array =>
  response.encode(response.fromObject({ partial_success: { rejected_log_records: rejected, error_message } })).finish()

export interface Collector {
  url: string
  exports: Export[]
  close(): Promise<void>
}

export async function collector(answer?: (response: ServerResponse, index: number) => void): Promise<Collector> {
  const exports: Export[] = []
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    const sent = Buffer.concat(chunks)
    const body = incoming.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent
    const index = exports.push({
      headers: incoming.headers,
      path: incoming.url ?? '',
      length: sent.length,
      resources: read(body),
    })
    if (answer) answer(outgoing, index - 1)
    else outgoing.writeHead(200, { 'content-type': 'application/x-protobuf' }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exports,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
