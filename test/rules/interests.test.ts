import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { conditionsOf } from '../../bpf/conditions.ts'
import { fileFilter, nameKey, sends, sendsFailed } from '../../bpf/file-filter.ts'
import { createEngine } from '../../rules/engine.ts'
import { interests } from '../../rules/interests.ts'
import { conditionAbout, eventOf, open } from './opens.ts'
import { rulesOn } from './rules-on.ts'

/** Few rules at once: what one of them asks for hides what is missing of another. */
const rulesAndOpens = fc.array(open, { minLength: 1, maxLength: 4 }).chain((opens) =>
  fc.record({
    opens: fc.constant(opens),
    conditions: fc.array(conditionAbout(opens), { minLength: 1, maxLength: 2 }),
  }),
)

test('what the kernel would keep back, no rule matches: rules about opens, and those opens', () => {
  let [kept, matched] = [0, 0]
  fc.assert(
    fc.property(rulesAndOpens, ({ opens, conditions }) => {
      const { rules } = rulesOn('open', conditions)
      const engine = createEngine({ rules, remarks: [] }, { onError() {}, onSuppressed() {} })
      const filter = fileFilter(interests(rules).get('open') ?? [])
      for (const one of opens) {
        const met = conditionsOf({
          changing: one.access.some((access) => access !== 'read'),
          inContainer: one.inContainer,
        })
        const sent = one.failed
          ? sendsFailed(filter, one.requested, met)
          : sends(filter, one.path.slice(1).split('/'), met)
        const matches = engine.judge(eventOf(one))
        if (!sent) {
          kept++
          expect(matches).toEqual([])
        }
        if (matches.length > 0) matched++
      }
    }),
    { numRuns: 4000 },
  )
  // Otherwise it would prove little.
  expect(kept).toBeGreaterThan(1500)
  expect(matched).toBeGreaterThan(1500)
})

describe('an interest is no wider than the rule says it', () => {
  const filterOf = (when: object) => fileFilter(interests(rulesOn('open', [when]).rules).get('open') ?? [])
  const reading = conditionsOf({ changing: false, inContainer: false })
  const writing = conditionsOf({ changing: true, inContainer: false })
  const inContainer = conditionsOf({ changing: false, inContainer: true })

  test('a name', () => {
    const filter = filterOf({ 'file.name': { in: ['shadow', 'gshadow'] } })
    expect(sends(filter, ['etc', 'shadow'], reading)).toBe(true)
    expect(sends(filter, ['etc', 'passwd'], reading)).toBe(false)
    expect(sendsFailed(filter, '/etc/shadow', reading)).toBe(false)
  })
  test('writes below a directory', () => {
    const filter = filterOf({
      all: [{ 'file.path': { startsWith: '/etc/cron.d/' } }, { 'file.access': { in: ['write', 'create'] } }],
    })
    expect(sends(filter, ['etc', 'cron.d', 'a'], writing)).toBe(true)
    expect(sends(filter, ['etc', 'cron.d', 'a'], reading)).toBe(false)
    expect(sends(filter, ['etc', 'a'], writing)).toBe(false)
  })
  test('in containers', () => {
    const filter = filterOf({
      all: [{ 'file.directory': { endsWith: '/.ssh' } }, { 'container.id': { exists: true } }],
    })
    expect(sends(filter, ['root', '.ssh', 'id'], inContainer)).toBe(true)
    expect(sends(filter, ['root', '.ssh', 'id'], reading)).toBe(false)
  })
  test('a path that was tried in vain', () => {
    const filter = filterOf({ all: [{ 'file.requested_path': { in: ['/etc/shadow'] } }, { 'error.code': 'EACCES' }] })
    expect(sendsFailed(filter, '/etc/shadow', reading)).toBe(true)
    expect(sendsFailed(filter, '/etc/passwd', reading)).toBe(false)
    expect(sends(filter, ['etc', 'shadow'], reading)).toBe(false)
  })
})

test('names with the same first eight bytes are told apart by their length', () => {
  expect(nameKey('authorized_keys')).not.toBe(nameKey('authorized_keys2'))
})
