import type { Alert } from '../sensor/alert.ts'

/** Someone who is told of alerts. One file here per kind: stdout, webhook. */
export interface Exporter {
  /** The value of the `exporter` label in metrics and of `exporter` in log lines. */
  readonly name: string

  /** Takes the alert and returns at once; never throws. Whoever passes an alert must not change it afterwards. */
  send(alert: Alert): void

  /**
   * Takes no more alerts and tries, for `deadlineMs` milliseconds at most, to deliver those that wait.
   * Resolves to how many of those were NOT delivered; never rejects. A second call returns the first one's answer.
   */
  close(deadlineMs: number): Promise<number>
}
