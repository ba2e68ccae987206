/** The dashboard in Grafana's JSON model; `npm run manifests` writes nightjar.json of it. */
import { type Panel, rows } from './panels.ts'

// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's variable
const datasource = { type: 'prometheus', uid: '${datasource}' }
const columns = 24
const height = { stat: 4, timeseries: 8, table: 8 }

const fieldConfig = ({ unit, redFrom, stacked }: Panel) => ({
  defaults: {
    unit,
    ...(stacked && { custom: { stacking: { mode: 'normal' }, fillOpacity: 30 } }),
    ...(redFrom !== undefined && {
      thresholds: {
        mode: 'absolute',
        steps: [
          { color: 'green', value: null },
          { color: 'red', value: redFrom },
        ],
      },
    }),
  },
  overrides: [],
})

/** Of schemaVersion 39: Grafana 10.4 and later. */
export function dashboard(): object {
  let id = 0
  let y = 0
  const panels = rows.flatMap((row) => {
    const head = {
      id: ++id,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: columns, h: 1 },
    }
    let x = 0
    let tallest = 0
    const placed = row.panels.map((panel) => {
      const { title, description, type, width, queries } = panel
      if (x + width > columns) {
        y += tallest
        x = 0
        tallest = 0
      }
      const gridPos = { x, y, w: width, h: height[type] }
      x += width
      tallest = Math.max(tallest, gridPos.h)
      const instant = type === 'stat' || type === 'table'
      return {
        id: ++id,
        type,
        title,
        description,
        datasource,
        gridPos,
        fieldConfig: fieldConfig(panel),
        ...(type === 'table' && { transformations: [{ id: 'organize', options: { excludeByName: { Time: true } } }] }),
        targets: queries.map(({ expr, legend }, at) => ({
          refId: String.fromCharCode(65 + at),
          datasource,
          expr,
          legendFormat: legend,
          ...(instant ? { instant: true, range: false } : { range: true }),
          ...(type === 'table' && { format: 'table' }),
        })),
      }
    })
    y += tallest
    return [head, ...placed]
  })
  return {
    uid: 'nightjar',
    title: 'Nightjar',
    description: 'A runtime sensor for Kubernetes nodes: its health, what it saw, what it told, and whom.',
    tags: ['nightjar', 'security'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    timezone: 'browser',
    templating: {
      list: [
        { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
        {
          name: 'node',
          label: 'Node',
          type: 'query',
          datasource,
          query: { query: 'label_values(nightjar_probe_up{job="nightjar"}, node)', refId: 'node' },
          includeAll: true,
          allValue: '.*',
          multi: true,
          current: { text: 'All', value: '$__all' },
          refresh: 2,
          sort: 1,
        },
      ],
    },
    panels,
  }
}
