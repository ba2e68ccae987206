/**
 * The messages of the container runtime interface that are used here, by their published field numbers
 * (https://github.com/kubernetes/cri-api/blob/master/pkg/apis/runtime/v1/api.proto, package runtime.v1). Fields that
 * nothing here reads are left out: protobuf skips them.
 */
import protobuf from 'protobufjs'

type FieldOf = [number: number, type: string, rule?: 'repeated' | 'map']

const messages: Record<string, Record<string, FieldOf>> = {
  VersionRequest: {},
  VersionResponse: { runtimeName: [2, 'string'], runtimeVersion: [3, 'string'], runtimeApiVersion: [4, 'string'] },
  ListContainersRequest: { filter: [1, 'ContainerFilter'] },
  ContainerFilter: { id: [1, 'string'] },
  ListContainersResponse: { containers: [1, 'Container', 'repeated'] },
  Container: {
    id: [1, 'string'],
    podSandboxId: [2, 'string'],
    metadata: [3, 'ContainerMetadata'],
    image: [4, 'ImageSpec'],
    imageRef: [5, 'string'],
    createdAt: [7, 'int64'],
    labels: [8, 'string', 'map'],
  },
  ContainerMetadata: { name: [1, 'string'], attempt: [2, 'uint32'] },
  ImageSpec: { image: [1, 'string'], userSpecifiedImage: [18, 'string'] },
  ListPodSandboxRequest: { filter: [1, 'PodSandboxFilter'] },
  PodSandboxFilter: { id: [1, 'string'] },
  ListPodSandboxResponse: { items: [1, 'PodSandbox', 'repeated'] },
  PodSandbox: {
    id: [1, 'string'],
    metadata: [2, 'PodSandboxMetadata'],
    labels: [5, 'string', 'map'],
    annotations: [6, 'string', 'map'],
  },
  PodSandboxMetadata: { name: [1, 'string'], uid: [2, 'string'], namespace: [3, 'string'] },
  ContainerStatusRequest: { containerId: [1, 'string'] },
  ContainerStatusResponse: { status: [1, 'ContainerStatus'] },
  ContainerStatus: {
    id: [1, 'string'],
    startedAt: [5, 'int64'],
    image: [8, 'ImageSpec'],
    imageRef: [9, 'string'],
  },
}

type ImageSpec = { image?: string; userSpecifiedImage?: string }

/** The answers, by the method that gives them. Times: Unix nanoseconds, as decimal text; 0 is none. */
export type Answers = {
  Version: { runtimeName?: string; runtimeVersion?: string; runtimeApiVersion?: string }
  ListContainers: {
    containers?: {
      id?: string
      podSandboxId?: string
      metadata?: { name?: string; attempt?: number }
      image?: ImageSpec
      imageRef?: string
      labels?: Record<string, string>
    }[]
  }
  ListPodSandbox: {
    items?: {
      id?: string
      metadata?: { name?: string; uid?: string; namespace?: string }
      labels?: Record<string, string>
      annotations?: Record<string, string>
    }[]
  }
  ContainerStatus: { status?: { startedAt?: string; image?: ImageSpec; imageRef?: string } }
}
export type Method = keyof Answers

const root = new protobuf.Root()
const namespace = root.define('runtime.v1')
for (const [name, fields] of Object.entries(messages)) {
  const type = new protobuf.Type(name)
  for (const [field, [number, of, rule]] of Object.entries(fields)) {
    type.add(
      rule === 'map' ? new protobuf.MapField(field, number, 'string', of) : new protobuf.Field(field, number, of, rule),
    )
  }
  namespace.add(type)
}
root.resolveAll()

/** One message of a gRPC stream is: whether it is compressed (0), its length in four bytes, itself. */
export function encodeCall(method: Method, request: object): Buffer {
  const body = root.lookupType(`runtime.v1.${method}Request`).encode(request).finish()
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}

/** Throws if it isn't one whole, uncompressed message. */
export function decodeAnswer<M extends Method>(method: M, bytes: Buffer): Answers[M] {
  if (bytes.length < 5 || bytes[0] !== 0 || bytes.readUInt32BE(1) !== bytes.length - 5)
    throw new Error(`${bytes.length} bytes that are not one uncompressed message`)
  const type = root.lookupType(`runtime.v1.${method}Response`)
  return type.toObject(type.decode(bytes.subarray(5)), { longs: String }) as Answers[M]
}
