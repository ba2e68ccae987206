/** The kernel program of a stream, with what this kernel and this bpftrace turn out not to take left out of it. */
import type { Interests } from '../bpf/interest.ts'
import { blocksOf, isKprobe, isReturnProbe, nameOf, refusedBlock, without } from '../bpf/omissions.ts'
import { program } from '../bpf/program.ts'
import { lostBlocks, type Tracepoints } from '../bpf/tracepoints.ts'

export interface KernelProgram {
  text(interests: Interests): string
  /**
   * bpftrace has refused a text with these words: leaves out what they name. False if they name nothing that can be left
   * out; else text() gives another one from now on.
   */
  refused(text: string, complaint: readonly string[]): boolean
  /** What is not watched of what is wanted, as nameOf() says it: refused, or the kernel has no such tracepoint. */
  missing(interests: Interests): string[]
  /** What the kernel is watched through: `tracepoint`, `tracepoint,kprobe`. */
  backend(interests: Interests): string
}

/** More refusals than this are no lack of the kernel's, and each costs another start of bpftrace. */
const mostOmitted = 16

export function createKernelProgram(options: {
  tracepoints(): Tracepoints | undefined
  onRefused(name: string, complaint: readonly string[]): void
}): KernelProgram {
  const omitted = new Set<string>()
  const text = (interests: Interests) => without(program(interests, options.tracepoints()), omitted)
  return {
    text,
    backend: (interests) => (blocksOf(text(interests)).some(isKprobe) ? 'tracepoint,kprobe' : 'tracepoint'),
    refused(text, complaint) {
      const block = refusedBlock(text, complaint)
      if (block === undefined || omitted.has(nameOf(block)) || omitted.size >= mostOmitted) return false
      // A kernel that refuses one kprobe refuses all of them; one at the return of a function needs more than others.
      const isAlike = [isReturnProbe, isKprobe].find((kind) => kind(block))
      const alike = isAlike ? blocksOf(text).filter(isAlike) : [block]
      for (const one of alike) omitted.add(nameOf(one))
      options.onRefused(nameOf(block), complaint)
      return true
    },
    missing(interests) {
      const tracepoints = options.tracepoints()
      const whole = program(interests)
      const lost = tracepoints ? lostBlocks(whole, tracepoints).map(nameOf) : []
      return [...new Set([...lost, ...[...omitted].filter((name) => without(whole, new Set([name])) !== whole)])]
    },
  }
}
