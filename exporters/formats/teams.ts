/**
 * Microsoft Teams: an Adaptive Card 1.4 in a message, as the Workflows webhook takes it.
 *
 * TextBlocks and facts read markdown, TextRuns don't: whatever was not written here is a TextRun. Teams refuses more
 * than 28 KB; the briefing's own limits keep the card well below.
 */
import type { Alert, Severity } from '../../sensor/alert.ts'
import { briefing } from '../briefing.ts'
import type { Format } from '../formats.ts'

const colours: Record<Severity, string> = {
  critical: 'Attention',
  high: 'Attention',
  medium: 'Warning',
  low: 'Accent',
  info: 'Default',
}

interface Run {
  text: string
  weight?: 'Bolder'
  size?: 'Large'
  color?: string
  fontType?: 'Monospace'
}

const runs = (...inlines: Run[]) => ({
  type: 'RichTextBlock',
  inlines: inlines.map((run) => ({ type: 'TextRun', ...run })),
})

function card(alert: Alert): object {
  const { headline, message, facts, command, next, runbook } = briefing(alert)
  return {
    $schema: 'http://adaptivecards.io/schemas/adaptive-card.json',
    type: 'AdaptiveCard',
    version: '1.4',
    fallbackText: headline,
    msteams: { width: 'Full' },
    body: [
      runs({ text: headline, weight: 'Bolder', size: 'Large', color: colours[alert.severity] }),
      runs({ text: message }),
      ...facts.map(({ label, text }) => runs({ text: `${label}: `, weight: 'Bolder' }, { text })),
      ...(command ? [runs({ text: command, fontType: 'Monospace' })] : []),
      runs({ text: 'Next: ', weight: 'Bolder' }, { text: next }),
    ],
    ...(runbook && { actions: [{ type: 'Action.OpenUrl', title: 'Runbook', url: runbook }] }),
  }
}

export const teams: Format = {
  contentType: 'application/json',
  one: (alert) =>
    JSON.stringify({
      type: 'message',
      attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', contentUrl: null, content: card(alert) }],
    }),
}
