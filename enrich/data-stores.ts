/**
 * Which Services are data stores. A Service says so itself with the annotation `nightjar.dev/data-store: <type>` (`none`:
 * it is not one); else its port, the name of its port, its labels or its own name tell.
 */
import type { Labels } from './label-selector.ts'

/**
 * `ports`: registered or customary for this alone. `shared`: customary, but others use them too, so that a name must
 * agree. `portNames`: as charts name them. `named`: what the Service or its labels are called.
 */
type Store = { type: string; ports?: number[]; shared?: number[]; portNames?: string[]; named: RegExp }

const stores: readonly Store[] = [
  {
    type: 'postgresql',
    ports: [5432],
    portNames: ['postgres', 'postgresql', 'tcp-postgresql', 'pgsql'],
    named: /postgres|pgbouncer|pgpool|timescale/,
  },
  { type: 'mysql', ports: [3306], portNames: ['mysql', 'tcp-mysql'], named: /mysql|mariadb|percona|vitess/ },
  { type: 'mssql', ports: [1433], portNames: ['mssql', 'sqlserver'], named: /mssql|sqlserver/ },
  { type: 'oracle', ports: [1521], portNames: ['oracle'], named: /oracle-?db/ },
  { type: 'cockroachdb', ports: [26257], named: /cockroach/ },
  {
    type: 'redis',
    ports: [6379],
    shared: [26379],
    portNames: ['redis', 'tcp-redis', 'valkey'],
    named: /redis|valkey|keydb|dragonfly/,
  },
  { type: 'memcached', ports: [11211], portNames: ['memcache', 'memcached'], named: /memcache/ },
  { type: 'mongodb', ports: [27017], portNames: ['mongo', 'mongodb'], named: /mongo/ },
  { type: 'cassandra', ports: [9042], portNames: ['cql'], named: /cassandra|scylla/ },
  {
    type: 'elasticsearch',
    ports: [9200],
    portNames: ['elasticsearch', 'opensearch'],
    named: /elasticsearch|opensearch/,
  },
  { type: 'clickhouse', shared: [8123, 9000], portNames: ['clickhouse'], named: /clickhouse/ },
  { type: 'influxdb', ports: [8086], named: /influx/ },
  { type: 'neo4j', ports: [7687], portNames: ['bolt', 'tcp-bolt'], named: /neo4j/ },
  { type: 'couchdb', ports: [5984], named: /couchdb/ },
  { type: 'kafka', ports: [9092], portNames: ['kafka', 'tcp-kafka', 'tcp-clients'], named: /kafka|redpanda/ },
  { type: 'rabbitmq', ports: [5672, 5671], portNames: ['amqp', 'amqps'], named: /rabbitmq/ },
  { type: 'nats', ports: [4222], portNames: ['nats'], named: /(^|-)nats(-|$)/ },
  { type: 'pulsar', ports: [6650], portNames: ['pulsar'], named: /pulsar/ },
  { type: 'zookeeper', ports: [2181], portNames: ['zookeeper'], named: /zookeeper/ },
  { type: 'etcd', ports: [2379], portNames: ['etcd', 'etcd-client'], named: /(^|-)etcd(-|$)/ },
  { type: 'consul', ports: [8500], named: /consul/ },
  { type: 'vault', ports: [8200], portNames: ['vault'], named: /(^|-)(vault|openbao)(-|$)/ },
  { type: 'minio', shared: [9000], portNames: ['minio-api', 's3'], named: /minio|ceph-?rgw|seaweedfs-s3|(^|-)s3(-|$)/ },
]

/** Beside a data store, and called after it, but not one: what measures, runs or shows it. */
const companions = /exporter|metrics|operator|webhook|dashboard|(^|-)(ui|console|admin|backup)(-|$)/
const nameLabels = ['app.kubernetes.io/name', 'app.kubernetes.io/component', 'app', 'k8s-app', 'component', 'name']
const annotation = 'nightjar.dev/data-store'

export type ServicePort = { port: number; name?: string; targetPort?: number | string; protocol?: string }
export type Service = {
  namespace: string
  name: string
  labels: Labels
  annotations: Labels
  /** Absent: its endpoints are written by hand, or it is but a name. */
  selector?: Labels
  externalName?: string
  ports: readonly ServicePort[]
}

/** `evidence`: why it is taken for one. */
export type DataStore = { type: string; service: Service; port: ServicePort; evidence: string }

/** The ports of the Service behind which there is a data store. */
export function dataStoresOf(service: Service): DataStore[] {
  const said = service.annotations[annotation]
  if (said === 'none' || said === 'false') return []
  const ports = service.ports.filter(({ protocol }) => (protocol ?? 'TCP') === 'TCP')
  if (said !== undefined) {
    return ports.map((port) => ({ type: said, service, port, evidence: `annotation ${annotation}` }))
  }
  const names = [service.name, service.externalName, ...nameLabels.map((label) => service.labels[label])]
  if (names.some((name) => name !== undefined && companions.test(name))) return []
  const called = (store: Store) => names.find((name) => name !== undefined && store.named.test(name))
  return ports.flatMap((port) => {
    for (const store of stores) {
      const evidence = evidenceOf(store, port, called(store))
      if (evidence) return [{ type: store.type, service, port, evidence }]
    }
    // The one port of what is called after a data store.
    const store = ports.length === 1 ? stores.find((one) => called(one) !== undefined) : undefined
    return store ? [{ type: store.type, service, port, evidence: `name ${called(store)}` }] : []
  })
}

function evidenceOf(
  store: Store,
  { port, name, targetPort }: ServicePort,
  called: string | undefined,
): string | undefined {
  const numbers = [port, targetPort]
  const known = numbers.find((number) => typeof number === 'number' && store.ports?.includes(number))
  if (known !== undefined) return `port ${known}`
  const named = [name, targetPort].find((one) => typeof one === 'string' && store.portNames?.includes(one))
  if (named !== undefined) return `port name ${named}`
  const shared = numbers.find((number) => typeof number === 'number' && store.shared?.includes(number))
  return shared !== undefined && called !== undefined ? `port ${shared} and name ${called}` : undefined
}
