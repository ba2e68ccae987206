/**
 * Cgroup path -> container. The kubelet and the runtimes write who a process belongs to into the names of its cgroup:
 *
 *   systemd driver    /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid, _ for ->.slice/<container>
 *   cgroupfs driver   /kubepods/burstable/pod<uid>/<container>                  (no QoS level: a guaranteed pod)
 *   kind, k3s ...     the same below a prefix: /kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-..., /kubelet/kubepods/...
 *   runc without systemd under a kubelet with it:  .../kubepods-burstable-pod<uid>.slice:cri-containerd:<id>
 *   no kubelet        /docker/<id>, /system.slice/docker-<id>.scope, /machine.slice/libpod-<id>.scope ...
 *
 * (kubernetes pkg/kubelet/cm/cgroup_manager_linux.go; containerd internal/cri getCgroupsPath; CRI-O
 * internal/config/cgmgr; podman libpod/container_internal_linux.go.)
 *
 * The OUTERMOST pod wins, and without a pod the outermost container. A process can make cgroups only below its own, so
 * whatever names it invents there, it stays the container that the host put it in. For the same reason names below a
 * user's delegated tree (user@1000.service) never stand for a pod. What remains: pods below a container that is in no
 * pod are believed, since a kind node is just that.
 */

/** What a cgroup path tells. `podUid` of a static pod is the 32 hex digits of its configuration's hash. */
export type ContainerRef = { id: string; runtime?: string; podUid?: string }

const id = '(?<id>[0-9a-f]{64})'
const uid = '(?<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})'
const slice = `(?:[^/:]+-)?kubepods(?:-burstable|-besteffort)?-pod${uid}\\.slice`
const whole = (source: string) => new RegExp(`^${source}$`)

/** Directory names that a pod has. `below`: what the directory above must be called. */
const podNames: { name: RegExp; below?: RegExp }[] = [
  { name: whole(slice) },
  // `..`: /proc/<pid>/cgroup as read from another cgroup namespace (cgroup_namespaces(7)).
  { name: whole(`pod${uid}`), below: /^(?:.*kubepods|burstable|besteffort|\.\.)$/ },
]

/** Names that hold the pod and the container at once: systemd's slice:prefix:name taken for a directory name. */
const unitNames: { name: RegExp; runtime: string }[] = [
  { name: whole(`${slice}:cri-containerd:${id}`), runtime: 'containerd' },
  { name: whole(`${slice}:crio:${id}`), runtime: 'cri-o' },
  { name: whole(`${slice}:docker:${id}`), runtime: 'docker' },
]

/**
 * Directory names that a container has. The monitors beside it (crio-conmon-<id>, libpod-conmon-<id>) are processes of
 * the host and match nothing here.
 */
const containerNames: { name: RegExp; runtime?: string; below?: RegExp }[] = [
  { name: whole(`cri-containerd-${id}\\.scope`), runtime: 'containerd' },
  { name: whole(`nerdctl-${id}\\.scope`), runtime: 'containerd' },
  { name: whole(`crio-${id}(?:\\.scope)?`), runtime: 'cri-o' },
  { name: whole(`docker-${id}\\.scope`), runtime: 'docker' },
  { name: whole(`libpod-(?:payload-)?${id}(?:\\.scope)?`), runtime: 'podman' },
  { name: whole(id), runtime: 'docker', below: /^docker$/ },
  // libpod_parent/<id> is a Podman pod; its containers are below it.
  { name: whole(id), below: /^(?!libpod_parent$)/ },
]

/**
 * The container that a cgroup belongs to; undefined for the host's own cgroups, for a pod's cgroup outside its
 * containers, and for the runtimes' monitors. A cgroup inside a container (`.../<id>/init.scope`) is that container's.
 */
export function containerOf(cgroupPath: string): ContainerRef | undefined {
  const names = cgroupPath.split('/').filter((name) => name !== '')
  const delegated = names.findIndex((name) => /^user@\d+\.service$/.test(name))
  return inPod(delegated < 0 ? names : names.slice(0, delegated)) ?? outsidePods(names)
}

function inPod(names: string[]): ContainerRef | undefined {
  for (const [at, name] of names.entries()) {
    for (const unit of unitNames) {
      const groups = unit.name.exec(name)?.groups
      if (groups?.id && groups.uid) return { id: groups.id, runtime: unit.runtime, podUid: dashed(groups.uid) }
    }
    const podUid = podNamed(name, names[at - 1] ?? '')
    if (podUid !== undefined) {
      const container = containerNamed(names[at + 1] ?? '', name)
      return container && { ...container, podUid }
    }
  }
  return undefined
}

function outsidePods(names: string[]): ContainerRef | undefined {
  for (const [at, name] of names.entries()) {
    const container = containerNamed(name, names[at - 1] ?? '')
    if (container) return container
  }
  return undefined
}

function podNamed(name: string, parent: string): string | undefined {
  for (const pod of podNames) {
    const found = pod.below?.test(parent) === false ? undefined : pod.name.exec(name)?.groups?.uid
    if (found) return dashed(found)
  }
  return undefined
}

function containerNamed(name: string, parent: string): ContainerRef | undefined {
  for (const { name: pattern, runtime, below } of containerNames) {
    const found = below?.test(parent) === false ? undefined : pattern.exec(name)?.groups?.id
    if (found) return { id: found, ...(runtime && { runtime }) }
  }
  return undefined
}

/** systemd escapes `-` in a slice's name, for which it means "child of", so the kubelet writes `_`. */
const dashed = (podUid: string) => podUid.replaceAll('_', '-')
