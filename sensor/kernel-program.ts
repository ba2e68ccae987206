/** The kernel program of a stream, with what this kernel and this bpftrace turn out not to take left out of it. */
import { byFentry } from '../bpf/functions.ts'
import type { Interests } from '../bpf/interest.ts'
import { blocksOf, isFentry, isKprobe, isReturnProbe, nameOf, refusedBlock, without } from '../bpf/omissions.ts'
import { program } from '../bpf/program.ts'
import { lostBlocks, type Tracepoints } from '../bpf/tracepoints.ts'

export interface KernelProgram {
  text(interests: Interests): string
  /**
   * bpftrace has refused a text with these words: leaves out what they name, or fentry, for which kprobes stand in. False if
   * there is nothing that can be left out; else text() gives another one from now on.
   */
  refused(text: string, complaint: readonly string[]): boolean
  /** What is not watched of what is wanted, as nameOf() says it: refused, or the kernel has no such tracepoint. */
  missing(interests: Interests): string[]
  /** What the kernel is watched through: `tracepoint`, and `kprobe` or `fentry` where it allows them: `tracepoint,fentry`. */
  backend(interests: Interests): string
}

/** More refusals than this are no lack of the kernel's, and each costs another start of bpftrace. */
const mostOmitted = 16

export function createKernelProgram(options: {
  tracepoints(): Tracepoints | undefined
  /** `instead`: what stands in for it; undefined if it is left out. */
  onRefused(name: string, complaint: readonly string[], instead?: 'kprobe'): void
}): KernelProgram {
  const omitted = new Set<string>()
  let fentry = true
  const text = (interests: Interests) => {
    const tracepoints = options.tracepoints()
    const whole = without(program(interests, tracepoints), omitted)
    return fentry && tracepoints ? byFentry(whole, tracepoints) : whole
  }
  return {
    text,
    backend(interests) {
      const blocks = blocksOf(text(interests))
      return ['tracepoint', blocks.some(isFentry) && 'fentry', blocks.some(isKprobe) && 'kprobe'].filter(Boolean).join()
    },
    refused(text, complaint) {
      const block = refusedBlock(text, complaint)
      // Also where nothing is named: without fentry it may be taken.
      if (block ? isFentry(block) : blocksOf(text).some(isFentry)) {
        fentry = false
        options.onRefused(block ? nameOf(block) : 'fentry', complaint, 'kprobe')
        return true
      }
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
