/** Objects recorded from a real API server, which lie beside the repository. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../../../shared/fixtures/k8s')
export const areRecorded = existsSync(folder)

/** Items of a recorded list, such as `pods`. */
export const recordedList = <T>(name: string): T[] => recordedJson<{ items: T[] }>(name).items
export const recordedJson = <T>(name: string): T => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'))
