import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openUsers } from '../../enrich/users.ts'

let directory = ''
let now = 0
const clock = () => now

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nightjar-users-'))
  now = 0
})
afterEach(() => rmSync(directory, { recursive: true }))

function write(content: string): string {
  const path = join(directory, 'passwd')
  writeFileSync(`${path}+`, content)
  renameSync(`${path}+`, path)
  return path
}

test('the root of this machine has a name', () => {
  expect(openUsers().nameOf(0)).toBe('root')
})

test('of two names for one uid the first counts; broken lines are passed over', () => {
  const path = write('#comment\nroot:x:0:0::/root:/bin/sh\n\nbad\ntoor:x:0:0::/:/bin/sh\nweb:x:33:33\nodd:x:-1:1::\n')
  const users = openUsers({ path, clock })
  expect([0, 33, -1, 1].map(users.nameOf)).toEqual(['root', 'web', undefined, undefined])
})

test('a user that is added later is found when a second has passed', () => {
  const path = write('root:x:0:0::/root:/bin/sh\n')
  const users = openUsers({ path, clock })
  expect(users.nameOf(1000)).toBeUndefined()
  write('root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n')
  now += 1_000
  expect(users.nameOf(1000)).toBe('ann')
})

test('without the file there are no names, and there are when it comes', () => {
  const users = openUsers({ path: join(directory, 'passwd'), clock })
  expect(users.nameOf(0)).toBeUndefined()
  write('root:x:0:0::/root:/bin/sh\n')
  now += 1_000
  expect(users.nameOf(0)).toBe('root')
})
