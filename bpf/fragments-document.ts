/** docs/fragments.md: what each kernel fragment says in its head about what it traces, what it misses and what it costs. */
import { readdirSync, readFileSync } from 'node:fs'
import { document, escaped } from '../rules/markdown.ts'

const folder = import.meta.dirname

/** The comment that a file begins with, and those below that tell of misses, as paragraphs. */
function told(file: string): string[] {
  const text = readFileSync(`${folder}/${file}`, 'utf8')
  const comments = text.match(/(^\/\/.*\n)+/gm) ?? []
  return comments
    .filter((comment, at) => at === 0 || comment.includes('Misses: '))
    .flatMap((comment) => paragraphs(comment.split('\n').map((line) => line.replace(/^\/\/ ?/, ''))))
}

/** Lines belong together until an empty one, a point of a list, or a word such as `Misses:` begins anew. */
function paragraphs(lines: readonly string[]): string[] {
  const found: string[] = ['']
  for (const line of lines) {
    if (line === '' || /^(- |Misses: |Costs )/.test(line)) found.push('')
    found.push(`${found.pop() ?? ''} ${line.trim()}`.trim())
  }
  return found.filter((text) => text !== '')
}

const shown = (text: string) =>
  escaped(text)
    .replace(/^Misses: /, '**Misses**: ')
    .replace(/^Costs /, '**Costs** ')

export function fragmentsDocument(): string {
  const files = readdirSync(folder).filter((file) => file.endsWith('.bt'))
  return document([
    '# The kernel fragments',
    '',
    'What the kernel program is made of: one bpftrace fragment an event family, chosen by the rules that are loaded. This is the',
    'head of each file in [`bpf/`](../bpf), collected by `npm run docs`: what it traces, what it misses, what it costs. All that is',
    'missed, in one place: [What is not seen](not-seen.md). `nightjar probe print` shows the whole program. Where an x86-64 kernel has',
    'kprobes, most of what hangs on system calls stands there twice: once more for the calls of 32-bit programs ([kernels](kernels.md)).',
    '',
    ...files.flatMap((file) => {
      const [first = '', ...rest] = told(file)
      const [, name = file, what = ''] = /^([\w-]+): (.*)$/.exec(first) ?? []
      return [
        `## ${name}`,
        '',
        `[\`bpf/${file}\`](../bpf/${file}): ${shown(what)}`,
        '',
        ...rest.flatMap((text) => [shown(text), '']),
      ]
    }),
  ])
}
