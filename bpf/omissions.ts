/**
 * A kernel, or a bpftrace, that refuses one block of the program refuses it as a whole. What it refused is found in what it
 * said, and left out, so that the rest is watched: by trying, not by version.
 */

/** The line before the text of a fragment, in the assembled program; that of a fragment without which nothing works. */
export const heading = (fragment: string, needed: boolean) => `// ${needed ? '====' : '----'} ${fragment}`
const headingLine = /^\/\/ (====|----) ([a-z_-]+)$/

/** Probes and what is done at them: the smallest that can be left out. */
export interface Block {
  fragment: string
  needed: boolean
  /** As bpftrace has them: `tracepoint:sched:sched_process_exec`. */
  probes: string[]
  /** In the program, counted from 1; the last one is that of its closing bracket. */
  firstLine: number
  lastLine: number
}

/** Whether it is one that adds to what tracepoints tell, where the kernel allows it: a truer name, a 32-bit program's call. */
export const isKprobe = ({ probes }: Block) => probes.some((probe) => /^k(?:ret)?probe:/.test(probe))
export const isReturnProbe = ({ probes }: Block) => probes.some((probe) => probe.startsWith('kretprobe:'))

/** What a block is called in logs and metrics: its fragment and its first probe. */
export const nameOf = ({ fragment, probes }: Block) => `${fragment} (${probes[0] ?? ''})`

export function blocksOf(program: string): Block[] {
  const blocks: Block[] = []
  let fragment = ''
  let needed = true
  let probes: string[] = []
  let firstLine = 0
  program.split('\n').forEach((line, at) => {
    const [, kind, name] = headingLine.exec(line) ?? []
    if (name !== undefined) {
      fragment = name
      needed = kind === '===='
    }
    const [probe] = /^(?:BEGIN|[a-z]+:[\w:*]+)(?=,?$)/.exec(line) ?? []
    if (probe !== undefined) {
      if (probes.length === 0) firstLine = at + 1
      probes.push(probe)
    }
    if (line === '}' && probes.length > 0) {
      blocks.push({ fragment, needed, probes, firstLine, lastLine: at + 1 })
      probes = []
    }
  })
  return blocks
}

/** The program without the blocks of these names. */
export function without(program: string, omitted: ReadonlySet<string>): string {
  if (omitted.size === 0) return program
  const gone = blocksOf(program).filter((block) => omitted.has(nameOf(block)))
  const lines = program.split('\n')
  return lines.filter((_, at) => !gone.some((one) => at + 1 >= one.firstLine && at + 1 <= one.lastLine)).join('\n')
}

/**
 * The block that bpftrace refused, as its words tell by a line (types and fields) or by a probe (the verifier, attaching).
 * Where blocks have that probe in common it is the last one, so that asking again after that gives the next. Undefined if
 * nothing is named that can be left out.
 */
export function refusedBlock(program: string, complaint: readonly string[]): Block | undefined {
  const blocks = blocksOf(program)
  for (const line of complaint.filter((one) => one.includes('ERROR'))) {
    const [, number] = /^stdin:(\d+)/.exec(line) ?? []
    const named = blocks.filter(({ firstLine, lastLine, probes }) =>
      number === undefined
        ? probes.some((probe) => isNamed(line, probe))
        : Number(number) >= firstLine && Number(number) <= lastLine,
    )
    const optional = named.filter(({ needed }) => !needed)
    if (optional.length > 0) return optional.at(-1)
  }
  return undefined
}

/** `tracepoint:sched:sched_process_exec`, or what newer bpftraces make of it: `tracepoint_sched_sched_process_exec_2`. */
function isNamed(line: string, probe: string): boolean {
  const name = probe.replaceAll('*', '\\w*')
  return new RegExp(`\\b${name}(?!\\w)|\\b${name.replaceAll(':', '_')}_\\d+\\b`).test(line)
}
