/** An unprivileged user. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** Put before a command, it runs as a user who has none of root's capabilities. */
export const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']

const [setpriv = '', ...options] = asNobody
const look = `fs.accessSync(${JSON.stringify(join(import.meta.dirname, '../../sensor/main.ts'))})`

/** Whether we may become that user, and it may read the product: not below a home directory that is closed to others. */
export const canBeNobody = spawnSync(setpriv, [...options, process.execPath, '-e', look]).status === 0
