/** A pack that has every member of the language once; beside `shipped`, which it overrides and leans on. */

export const shipped = {
  pack: 'shipped',
  version: '1',
  lists: { shells: ['sh', { value: 'bash', note: 'GNU' }], quiet: ['cron'] },
  macros: { in_container: { 'container.id': { exists: true } }, shell: { 'process.name': { in: '@shells' } } },
  rules: [
    {
      id: 'shell',
      name: 'A shell',
      on: ['exec', 'stdio'],
      when: { all: [{ macro: 'shell' }, { macro: 'in_container' }] },
      unless: [
        { when: { 'process.parent.name': { in: '@quiet' } }, reason: 'jobs', owner: 'platform', expires: '2027-03-31' },
      ],
      severity: 'low',
      message: '{process.name} ran',
      tags: { mitre: ['T1059'] },
      groupBy: ['container.id'],
      window: '10m',
    },
  ],
}

export const everything = {
  $schema: 'schema.json',
  pack: 'mine',
  version: '2',
  lists: { tools: ['curl', 'wget'], 'shipped/quiet': ['make'] },
  macros: { tool: { any: [{ 'process.name': { in: '@tools' } }, { macro: 'shipped/shell' }] } },
  rules: [
    {
      id: 'fetch-and-run',
      name: 'Fetched, then run',
      description: 'd',
      false_positives: ['f'],
      sequence: {
        steps: [
          { on: ['exec'], when: { macro: 'tool' } },
          { on: ['exit'], when: { 'process.exit_code': { gt: 0 } }, negated: true },
          { on: ['exec'], when: { 'process.executable.path': { startsWith: ['/tmp/', '/dev/shm/'] } } },
        ],
        by: 'process_tree',
        within: '5m',
      },
      severity: 'high',
      message: '{process.executable.path}',
      tests: [
        {
          name: 'both',
          events: [
            { process: { name: 'curl', pid: 10 } },
            { process: { pid: 11, executable: { path: '/tmp/x' }, ancestors: [{ pid: 10 }] } },
          ],
          alerts: 1,
        },
      ],
    },
    {
      id: 'scan',
      name: 'A scan',
      on: ['connect'],
      when: { 'destination.port': { exists: true }, not: { 'destination.ip': { cidr: '10.0.0.0/8' } } },
      threshold: { count: 3, distinct: 'destination.port', by: ['process.pid'], within: '1m' },
      severity: 'medium',
      message: '{process.name}',
      runbook: 'r',
      enabled: true,
      tests: [
        {
          name: 'three ports',
          events: [1, 2, 3].map((port) => ({ destination: { port }, process: { pid: 7 } })),
          alerts: 1,
        },
      ],
    },
  ],
  overrides: [
    {
      rule: 'shipped/shell',
      severity: 'critical',
      enabled: true,
      unless: [{ when: { 'process.command_args': { subset: '@tools' } }, reason: 'so', owner: 'us' }],
      tags: { nist_csf: ['DE.CM-09'] },
      runbook: 'ours',
      groupBy: ['process.name'],
      window: '1h',
    },
  ],
}
