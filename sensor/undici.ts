/** undici, loaded when it is first asked for: a sensor without a cluster and without receivers by HTTP does without. */
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

export const undici = (): typeof import('undici') => require('undici')
