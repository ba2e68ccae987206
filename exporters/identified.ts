/** The identity of an alert, as the exporters read it: each part may be missing, and is left out where it is. */
import type { Alert } from '../sensor/alert.ts'

export interface Endpoint {
  type?: string
  name?: string
  address?: string
  port?: number
}

export interface Identified {
  subject?: string
  kind?: string
  freshness?: string
  service_account?: { namespace?: string; name?: string }
  spiffe_id?: string
  cloud?: readonly { provider?: string; principal?: string; source?: string }[]
  blast_radius?: {
    score?: number
    level?: string
    paths?: readonly { id?: string; title?: string; why?: string; grants?: readonly string[] }[]
  }
  reach?: {
    data_stores?: readonly Endpoint[]
    control_plane?: readonly Endpoint[]
    node?: readonly { id?: string; title?: string; why?: string }[]
  }
}

export const identityOf = (alert: Alert): Identified => alert.identity ?? {}
