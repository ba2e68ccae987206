import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const files = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '*.md'], { cwd: root })
  .toString()
  .trim()
  .split('\n')
  .filter((file) => existsSync(join(root, file)))

const fence = /^(```|~~~)[\s\S]*?^\1/gm
const read = (file: string) => readFileSync(join(root, file), 'utf8')

/** GitHub's anchor of a heading: lower case, punctuation away, blanks to hyphens; repeats are numbered. */
function anchorsIn(file: string): Set<string> {
  const counts = new Map<string, number>()
  const headings = read(file)
    .replace(fence, '')
    .matchAll(/^#{1,6} +(.+?) *#*$/gm)
  const anchors = [...headings].map(([, heading = '']) => {
    const bare = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const slug = bare.replaceAll(/[^\p{L}\p{N}\p{M}\s_-]/gu, '').replaceAll(' ', '-')
    const count = counts.get(slug) ?? 0
    counts.set(slug, count + 1)
    return count === 0 ? slug : `${slug}-${count}`
  })
  return new Set(anchors)
}

interface Link {
  readonly file: string
  readonly target: string
}

/** What a document refers to beside itself and the web; not what stands in code. */
const linksIn = (file: string): Link[] =>
  [
    ...read(file)
      .replace(fence, '')
      .replaceAll(/`[^`\n]*`/g, '``')
      .matchAll(/\]\(([^)\s]+)\)/g),
  ]
    .map(([, target = '']) => ({ file, target }))
    .filter(({ target }) => !/^[a-z][a-z0-9+.-]*:/i.test(target))

/** What is wrong with a link; undefined if nothing is. */
function fault({ file, target }: Link): string | undefined {
  const [path = '', anchor] = target.split('#')
  const to = path === '' ? file : normalize(join(dirname(file), path))
  if (!existsSync(join(root, to))) return `${file}: ${target}: there is no ${to}`
  if (anchor === undefined || !to.endsWith('.md')) return undefined
  return anchorsIn(to).has(anchor) ? undefined : `${file}: ${target}: ${to} has no heading of that anchor`
}

test('every link from one document to another leads somewhere, its anchor too', () => {
  const links = files.flatMap(linksIn)
  expect(links.length).toBeGreaterThan(100)
  const known = new Map(links.map((link) => [`${link.file} ${link.target}`, link]))
  expect([...known.values()].map(fault).filter((found) => found !== undefined)).toEqual([])
})

test('docs/README.md leads to every document of docs/, and the README to it', () => {
  const listed = linksIn('docs/README.md').map(({ target }) => target.split('#')[0])
  const documents = files.filter((file) => file.startsWith('docs/') && file !== 'docs/README.md')
  expect(documents.filter((file) => !listed.includes(file.slice('docs/'.length)))).toEqual([])
  expect(linksIn('README.md').map(({ target }) => target)).toContain('docs/README.md')
})
