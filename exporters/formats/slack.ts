/**
 * Slack's incoming webhooks (Block Kit), and Mattermost's, which reads `text` alone.
 *
 * Whatever was not written here stands in a code span: neither chat reads markup in there, nor does Mattermost notify
 * @channel. Slack wants &, < and > escaped everywhere, or <!channel> would be a mention. Slack's limits: 50 blocks, 150
 * characters in a header, 3000 in a section's text, 2000 in a field, 10 fields.
 */
import type { Alert } from '../../sensor/alert.ts'
import { type Briefing, briefing, clipped } from '../briefing.ts'
import type { Format } from '../formats.ts'

const colours = { critical: '🔴', high: '🟠', medium: '🟡', low: '🔵', info: '⚪' }
const mostFields = 10

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' }

/** Cut before it is escaped: an entity must not be cut. One character becomes five at most. */
const escaped = (text: string, limit: number) =>
  clipped(text, limit).replace(/[&<>]/g, (found) => entities[found] ?? '')

/** A backtick would end the span; this one looks like it. */
const code = (text: string, limit: number) => `\`${escaped(text.replaceAll('`', 'ˋ'), limit)}\``

const section = (text: string) => ({ type: 'section', text: { type: 'mrkdwn', text } })

function message(alert: Alert): object {
  const told = briefing(alert)
  const { headline, facts, command, next, runbook } = told
  const fields = facts.slice(0, mostFields).map(({ label, text }) => ({
    type: 'mrkdwn',
    text: `*${label}*\n${code(text, 300)}`,
  }))
  const blocks = [
    { type: 'header', text: { type: 'plain_text', text: `${colours[alert.severity]} ${headline}`, emoji: true } },
    section(code(told.message, 550)),
    { type: 'section', fields },
    ...(command ? [section(`*Command*\n${code(command, 550)}`)] : []),
    section(`*Next*\n${escaped(next, 550)}`),
    ...(runbook ? [section(`<${link(runbook)}|Runbook>`)] : []),
  ]
  return { text: plain(told), blocks, unfurl_links: false, unfurl_media: false }
}

/** A pipe would begin the link's label. URL.parse has escaped < and >, so that only & grows. */
const link = (url: string) => url.replaceAll('|', '%7C').replaceAll('&', '&amp;').slice(0, 2900)

/** What Slack shows in a notification, and Mattermost as the whole. */
function plain({ headline, message, facts, command, next, runbook }: Briefing): string {
  return [
    `*${escaped(headline, 140).replaceAll(/[*_~@]/g, ' ')}*`,
    code(message, 550),
    ...facts.map(({ label, text }) => `${label}: ${code(text, 300)}`),
    ...(command ? [`Command: ${code(command, 550)}`] : []),
    `Next: ${escaped(next, 550)}`,
    ...(runbook ? [`<${link(runbook)}|Runbook>`] : []),
  ].join('\n')
}

export const slack: Format = { contentType: 'application/json', one: (alert) => JSON.stringify(message(alert)) }
