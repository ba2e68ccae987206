/**
 * Acts that make shipped rules fire, one a rule, as an attacker would do them but harmless: what the end-to-end tests
 * do, and what the documentation lists.
 */
export type Act =
  | {
      rule: string
      /**
       * Run by `sh -e` as root in namespaces of its own (mount, pid, uts, network) and, unless `host`, in a cgroup with
       * the name that a kubelet gives. It ends by itself within seconds, with code 0.
       */
      script: string
      host?: boolean
    }
  /** Acted out by a test of its own: the file. */
  | { rule: string; shownBy: string }
  /** The rule is not acted out, and why. */
  | { rule: string; why: string }
