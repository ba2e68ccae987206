import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const script = resolve(import.meta.dirname, '../../deploy/image')
const image = (...directories: string[]) => spawnSync('/bin/sh', [script, ...directories], { encoding: 'utf8' })

test('a directory with something in it is refused and left as it is', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nightjar-image-'))
  try {
    writeFileSync(join(directory, 'mine'), '')
    const { status, stderr } = image(directory)
    expect(status).toBe(1)
    expect(stderr).toContain(`${directory}: found something there, expected a directory that is new or empty`)
    expect(readdirSync(directory)).toEqual(['mine'])
  } finally {
    rmSync(directory, { recursive: true })
  }
})

test('without a directory it says how it is called', () => {
  const { status, stderr } = image()
  expect(status).toBe(2)
  expect(stderr).toContain('npm run image -- DIR')
})
