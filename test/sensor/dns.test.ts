import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { questionIn, questionInStream } from '../../sensor/dns.ts'

const header = (flags = 0x0100, questions = 1) =>
  Buffer.from([0x12, 0x34, flags >> 8, flags & 0xff, 0, questions, 0, 0, 0, 0, 0, 0])
const labels = (...names: (string | Uint8Array)[]) =>
  Buffer.concat([...names.flatMap((name) => [Buffer.of(name.length), Buffer.from(name)]), Buffer.of(0)])
const trailer = (type: number) => Buffer.from([type >> 8, type & 0xff, 0, 1])
const message = (name: Uint8Array, type = 1, head = header()) => Buffer.concat([head, name, trailer(type)])

describe('the question of a DNS message', () => {
  test.each([
    [['www', 'example', 'com'], 1, { name: 'www.example.com', type: 'A' }],
    [['WwW', 'eXample'], 28, { name: 'www.example', type: 'AAAA' }],
    [['_ldap', '_tcp', 'x'], 33, { name: '_ldap._tcp.x', type: 'SRV' }],
    [['x'], 65_280, { name: 'x', type: 'TYPE65280' }],
    [[], 2, { name: '.', type: 'NS' }],
  ])('%j, type %i', (names, type, question) => {
    expect(questionIn(message(labels(...names), type))).toEqual(question)
  })

  test('a byte that would read as something else is escaped', () => {
    const name = labels('a.b', 'c\\d', 'e\nf', Buffer.of(0, 0x80, 0xff, 0x20))
    expect(questionIn(message(name))?.name).toBe('a\\046b.c\\092d.e\\010f.\\000\\128\\255\\032')
  })

  test('is the first of several', () => {
    const two = Buffer.concat([message(labels('one'), 1, header(0x0100, 2)), labels('two'), trailer(1)])
    expect(questionIn(two)?.name).toBe('one')
  })

  test('may end in a pointer to what came before, as RFC 1035 has it', () => {
    // The header's own bytes 4 to 8, read as a name: one label of one byte.
    const data = Buffer.concat([
      Buffer.from([0, 0, 1, 0, 1, 0x78, 0, 0, 0, 0, 0, 0]),
      Buffer.of(1, 0x61, 0xc0, 4),
      trailer(16),
    ])
    expect(questionIn(data)).toEqual({ name: 'a.x', type: 'TXT' })
  })

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['half a header', header().subarray(0, 11)],
    ['an answer', message(labels('x'), 1, header(0x8180))],
    ['no question', message(labels('x'), 1, header(0x0100, 0))],
    ['a name that is cut off', message(labels('example')).subarray(0, 16)],
    ['no type', Buffer.concat([header(), labels('x')])],
    ['a label of a reserved kind', message(Buffer.of(0x40, 0x61, 0))],
    ['a pointer to itself', message(Buffer.of(0xc0, 12))],
    ['a pointer ahead', message(Buffer.of(0xc0, 14, 1, 0x61, 0))],
    ['two pointers in a circle', message(Buffer.of(1, 0x61, 0xc0, 12))],
    ['a name of more than 255 bytes', message(labels(...Array<string>(5).fill('n'.repeat(60))))],
  ])('none in %s', (_, data) => {
    expect(questionIn(data)).toBeUndefined()
  })

  test('a name of 255 bytes is one', () => {
    const name = [...Array<string>(3).fill('n'.repeat(63)), 'n'.repeat(61)]
    expect(questionIn(message(labels(...name)))?.name).toBe(name.join('.'))
  })

  test('whatever the bytes: an end, and a name of plain characters', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
        const question = questionIn(Buffer.concat([header(), bytes])) ?? questionInStream(bytes)
        expect(question?.name ?? '').toMatch(/^[\x21-\x7e]*$/)
      }),
    )
  })
})

describe('over TCP', () => {
  const data = message(labels('example'), 252)
  const length = Buffer.of(data.length >> 8, data.length & 0xff)
  const question = { name: 'example', type: 'AXFR' }

  test('the length comes first', () => {
    expect(questionInStream(Buffer.concat([length, data]))).toEqual(question)
  })

  test('or was sent before', () => {
    expect(questionInStream(data)).toEqual(question)
  })

  test('the first of two questions in one write', () => {
    expect(questionInStream(Buffer.concat([length, data, length, data]))).toEqual(question)
  })

  test('none in a length alone', () => {
    expect(questionInStream(length)).toBeUndefined()
  })
})
