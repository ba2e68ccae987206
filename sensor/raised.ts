/** What a process gained by the file that it executed: the set-user-id and set-group-id bits, file capabilities. */
import type { Exec } from './assemble.ts'
import { capabilityNames, without } from './capabilities.ts'
import type { Event } from './event.ts'

/** include/uapi/linux/stat.h */
const S_ISUID = 0o4000
const S_ISGID = 0o2000
const S_IXGRP = 0o010

/**
 * Seen after the fact: the real user is still the one that started the program, the effective one the file's owner.
 * Undefined where the bits changed nothing: they were no others before, or the mount is nosuid, or no_new_privs is set.
 *
 * Of a user other than root, capabilities beyond the ambient ones come from the file alone (capabilities(7),
 * "Transformation of capabilities during execve"). In a user namespace its root can have any number, so that this can't
 * be told there.
 */
export function raisedByExec(exec: Exec): Event['credentials'] {
  const { executable, uid, gid, realUid, realGid, capabilities, ambient } = exec
  const user = (executable.mode & S_ISUID) !== 0 && uid === executable.owner && uid !== realUid
  const setGroup = (executable.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)
  const group = setGroup && gid === executable.group && gid !== realGid
  const byFile = !exec.inUserNamespace && uid !== 0 && realUid !== 0
  const gained = byFile || (user && uid === 0) ? capabilityNames(without(capabilities, ambient)) : []
  if (!user && !group && gained.length === 0) return undefined
  return {
    operation: 'exec',
    previous: { user: { id: user ? realUid : uid }, group: { id: group ? realGid : gid } },
    ...(gained.length > 0 && { gained }),
  }
}
