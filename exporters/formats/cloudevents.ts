/** CloudEvents 1.0 in structured mode: the alert is the data. https://cloudevents.io */
import type { Alert } from '../../sensor/alert.ts'
import { workload } from '../briefing.ts'
import type { Format } from '../formats.ts'

const longestSubject = 256

function cloudEvent(alert: Alert): object {
  const { id, time, sensor, identity } = alert
  const subject = identity?.subject ?? workload(alert)
  return {
    specversion: '1.0',
    // With the source it is unique, and the same when the alert is delivered again.
    id,
    // A URI reference: percent-encoded, so that no name can leave its segment.
    source: `/nightjar/${encodeURIComponent(sensor.node.toWellFormed()) || 'unknown'}`,
    type: 'dev.nightjar.alert.v1',
    time,
    ...(subject && { subject: subject.slice(0, longestSubject).toWellFormed() }),
    datacontenttype: 'application/json',
    dataschema: 'https://nightjar.dev/alert/v1.json',
    severity: alert.severity,
    data: alert,
  }
}

export const cloudevents: Format = {
  contentType: 'application/cloudevents+json; charset=utf-8',
  one: (alert) => JSON.stringify(cloudEvent(alert)),
  batchContentType: 'application/cloudevents-batch+json; charset=utf-8',
  many: (alerts) => JSON.stringify(alerts.map(cloudEvent)),
}
