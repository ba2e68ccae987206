import fc from 'fast-check'
import { expect, test } from 'vitest'
import { containerOf } from '../../enrich/containers.ts'

const id = '2b4bb781a7e866728ca2b8d1758f79ecbcda529fa4e6a4ddeb00ba85b0596170'
const other = 'ab9fd17f579f265158463d8aafddb81158de470a6ffd60b53e279e4631fb0ea2'
const podUid = '058a67e1-9146-4dee-9534-0671cbbdf0b6'
const escaped = podUid.replaceAll('-', '_')
const hash = '8b1a9953c4611296a827abf8c47804d7'
const kubepods = '/kubepods.slice/kubepods-burstable.slice'

const examples: Record<string, [path: string, found: ReturnType<typeof containerOf>]> = {
  'containerd, systemd driver': [
    `${kubepods}/kubepods-burstable-pod${escaped}.slice/cri-containerd-${id}.scope`,
    { id, runtime: 'containerd', podUid },
  ],
  'CRI-O, systemd driver': [
    `${kubepods}/kubepods-burstable-pod${escaped}.slice/crio-${id}.scope`,
    { id, runtime: 'cri-o', podUid },
  ],
  'CRI-O, processes in the cgroup `container` of the scope': [
    `${kubepods}/kubepods-burstable-pod${escaped}.slice/crio-${id}.scope/container`,
    { id, runtime: 'cri-o', podUid },
  ],
  'Docker under a kubelet, systemd driver': [
    `${kubepods}/kubepods-burstable-pod${escaped}.slice/docker-${id}.scope`,
    { id, runtime: 'docker', podUid },
  ],
  'a guaranteed pod, systemd driver': [
    `/kubepods.slice/kubepods-pod${escaped}.slice/cri-containerd-${id}.scope`,
    { id, runtime: 'containerd', podUid },
  ],
  'cgroupfs driver': [`/kubepods/besteffort/pod${podUid}/${id}`, { id, podUid }],
  'a guaranteed pod, cgroupfs driver': [`/kubepods/pod${podUid}/${id}`, { id, podUid }],
  'CRI-O, cgroupfs driver': [`/kubepods/burstable/pod${podUid}/crio-${id}`, { id, runtime: 'cri-o', podUid }],
  'a static pod, systemd driver': [
    `${kubepods}/kubepods-burstable-pod${hash}.slice/cri-containerd-${id}.scope`,
    { id, runtime: 'containerd', podUid: hash },
  ],
  'a static pod, cgroupfs driver': [`/kubepods/burstable/pod${hash}/${id}`, { id, podUid: hash }],
  'kind, seen from its node': [
    `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${escaped}.slice/cri-containerd-${id}.scope`,
    { id, runtime: 'containerd', podUid },
  ],
  'kind, seen from the host: the pod, not the container that is the node': [
    `/system.slice/docker-${other}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod${escaped}.slice/cri-containerd-${id}.scope`,
    { id, runtime: 'containerd', podUid },
  ],
  'kind, cgroupfs driver': [`/docker/${other}/kubelet/kubepods/burstable/pod${podUid}/${id}`, { id, podUid }],
  'a process of a kind node outside its pods': [
    `/docker/${other}/system.slice/kubelet.service`,
    { id: other, runtime: 'docker' },
  ],
  'runc without systemd under a kubelet with it': [
    `/system.slice/containerd.service/kubepods-burstable-pod${escaped}.slice:cri-containerd:${id}`,
    { id, runtime: 'containerd', podUid },
  ],
  'read from another cgroup namespace': [`/../../pod${podUid}/${id}`, { id, podUid }],
  'systemd inside the container': [
    `${kubepods}/kubepods-burstable-pod${escaped}.slice/cri-containerd-${id}.scope/init.scope`,
    { id, runtime: 'containerd', podUid },
  ],
  'Docker in a pod: the pod its container': [`/kubepods/burstable/pod${podUid}/${id}/docker/${other}`, { id, podUid }],
  'k3s in Docker (k3d), systemd driver': [
    `/system.slice/docker-${other}.scope/kubepods.slice/kubepods-pod${escaped}.slice/cri-containerd-${id}.scope`,
    { id, runtime: 'containerd', podUid },
  ],
  'k3s in Docker (k3d), cgroupfs driver': [`/docker/${other}/kubepods/besteffort/pod${podUid}/${id}`, { id, podUid }],
  'a kubelet with a cgroup root of its own': [
    `/node.slice/node-kubepods.slice/node-kubepods-burstable.slice/node-kubepods-burstable-pod${escaped}.slice/crio-${id}.scope`,
    { id, runtime: 'cri-o', podUid },
  ],
  'a static pod in kind': [
    `/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod${hash}.slice/cri-containerd-${id}.scope`,
    { id, runtime: 'containerd', podUid: hash },
  ],
  'Docker without root': [
    `/user.slice/user-1000.slice/user@1000.service/user.slice/docker-${id}.scope`,
    { id, runtime: 'docker' },
  ],
  'a Podman pod, systemd driver': [
    `/machine.slice/machine-libpod_pod_${other}.slice/libpod-${id}.scope/container`,
    { id, runtime: 'podman' },
  ],
  'Docker, cgroupfs driver': [`/docker/${id}`, { id, runtime: 'docker' }],
  'Docker, systemd driver': [`/system.slice/docker-${id}.scope`, { id, runtime: 'docker' }],
  'Docker, own parent': [`/actions_job/${id}`, { id }],
  nerdctl: [`/system.slice/nerdctl-${id}.scope`, { id, runtime: 'containerd' }],
  'Podman, systemd': [`/machine.slice/libpod-${id}.scope/container`, { id, runtime: 'podman' }],
  'Podman without root': [
    `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${id}.scope`,
    { id, runtime: 'podman' },
  ],
  'Podman, cgroupfs, in a Podman pod': [`/libpod_parent/${other}/libpod-${id}`, { id, runtime: 'podman' }],
  'Podman as a systemd service': [`/system.slice/web.service/libpod-payload-${id}`, { id, runtime: 'podman' }],
  'the root': ['/', undefined],
  nothing: ['', undefined],
  'a service of the host': ['/system.slice/ssh.service', undefined],
  'the kubelet': ['/kubelet.slice/kubelet.service', undefined],
  'all pods': ['/kubepods.slice', undefined],
  'the cgroup of a pod, outside its containers': [`/kubepods/burstable/pod${podUid}`, undefined],
  'the monitor of CRI-O': [`${kubepods}/kubepods-burstable-pod${escaped}.slice/crio-conmon-${id}.scope`, undefined],
  'the monitor of CRI-O, cgroupfs driver': [`/kubepods/burstable/pod${podUid}/crio-conmon-${id}`, undefined],
  'the monitor of Podman': [`/machine.slice/libpod-conmon-${id}.scope`, undefined],
  'an id that is too short': [`/docker/${id.slice(1)}`, undefined],
  'an id that is too long': [`/docker/${id}0`, undefined],
  'a pod that no kubelet made': [`/system.slice/pod${podUid}/x`, undefined],
}

test.each(Object.entries(examples))('%s', (_, [path, found]) => {
  expect(containerOf(path)).toEqual(found)
})

test('a container cannot pass for another pod by the names of its own cgroups', () => {
  const own = `/kubepods/besteffort/pod${podUid}/${id}`
  const victim = '10b5410c-d548-4d88-a6f0-716269f99795'
  for (const forged of [
    `${own}/kubepods/besteffort/pod${victim}/${other}`,
    `${own}/kubepods.slice/kubepods-pod${victim.replaceAll('-', '_')}.slice/cri-containerd-${other}.scope`,
    `${own}/kubepods-pod${victim.replaceAll('-', '_')}.slice:cri-containerd:${other}`,
    `/docker/${id}/docker/${other}`,
  ]) {
    expect(containerOf(forged)?.id).toBe(id)
    expect(containerOf(forged)?.podUid).not.toBe(victim)
  }
})

test('a user of the host cannot pass for a pod by the names of its own cgroups', () => {
  const path = `/user.slice/user-1000.slice/user@1000.service/kubepods/pod${podUid}/${id}`
  expect(containerOf(path)?.podUid).toBeUndefined()
})

const hex = (length: number) =>
  fc.array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length }).map((it) => it.join(''))
const names = fc.array(fc.constantFrom('a', 'init.scope', 'kubelet.slice', 'user.slice', 'x-y', 'docker'), {
  maxLength: 4,
})
const uids = fc.oneof(fc.uuid(), hex(32))
const layouts: Record<string, (uid: string, id: string) => string> = {
  systemd: (uid, id) => `kubepods.slice/kubepods-pod${uid.replaceAll('-', '_')}.slice/cri-containerd-${id}.scope`,
  kind: (uid, id) => `kubelet-kubepods-besteffort-pod${uid.replaceAll('-', '_')}.slice/crio-${id}.scope`,
  cgroupfs: (uid, id) => `kubepods/burstable/pod${uid}/${id}`,
  unit: (uid, id) => `kubepods-burstable-pod${uid.replaceAll('-', '_')}.slice:cri-containerd:${id}`,
}

test('whatever is before and after it, a container of a pod is found with its pod', () => {
  fc.assert(
    fc.property(
      names,
      names,
      uids,
      hex(64),
      fc.constantFrom(...Object.values(layouts)),
      (before, after, uid, id, layout) => {
        const path = `/${[...before, layout(uid, id), ...after].join('/')}`
        expect(containerOf(path)).toMatchObject({ id, podUid: uid })
      },
    ),
  )
})

test('any path at all: an answer is a piece of the path, and never a surprise', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), hex(64), fc.constantFrom('kubepods', 'docker', `pod${podUid}`))),
      (parts) => {
        const path = parts.join('/')
        const found = containerOf(path)
        if (found) expect(path).toContain(found.id)
        if (found?.podUid) expect(path.replaceAll('_', '-')).toContain(found.podUid)
      },
    ),
  )
})
