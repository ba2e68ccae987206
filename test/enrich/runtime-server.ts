/** A container runtime of the tests' own: gRPC on a unix socket, messages as the published protocol file has them. */
import { createServer, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import protobuf from 'protobufjs'

// Written from the protocol file by itself: what the product takes for a field's number is not taken from the product.
const { root } = protobuf.parse(`
  syntax = "proto3";
  package runtime.v1;
  message VersionRequest { string version = 1; }
  message VersionResponse { string version = 1; string runtime_name = 2; string runtime_version = 3; string runtime_api_version = 4; }
  message ContainerFilter { string id = 1; }
  message ListContainersRequest { ContainerFilter filter = 1; }
  message ContainerMetadata { string name = 1; uint32 attempt = 2; }
  message ImageSpec { string image = 1; map<string, string> annotations = 2; string user_specified_image = 18; string runtime_handler = 19; }
  message Container {
    string id = 1; string pod_sandbox_id = 2; ContainerMetadata metadata = 3; ImageSpec image = 4; string image_ref = 5;
    int32 state = 6; int64 created_at = 7; map<string, string> labels = 8; map<string, string> annotations = 9; string image_id = 10;
  }
  message ListContainersResponse { repeated Container containers = 1; }
  message PodSandboxFilter { string id = 1; }
  message ListPodSandboxRequest { PodSandboxFilter filter = 1; }
  message PodSandboxMetadata { string name = 1; string uid = 2; string namespace = 3; uint32 attempt = 4; }
  message PodSandbox {
    string id = 1; PodSandboxMetadata metadata = 2; int32 state = 3; int64 created_at = 4; map<string, string> labels = 5;
    map<string, string> annotations = 6; string runtime_handler = 7;
  }
  message ListPodSandboxResponse { repeated PodSandbox items = 1; }
  message ContainerStatusRequest { string container_id = 1; bool verbose = 2; }
  message ContainerStatus {
    string id = 1; ContainerMetadata metadata = 2; int32 state = 3; int64 created_at = 4; int64 started_at = 5; int64 finished_at = 6;
    int32 exit_code = 7; ImageSpec image = 8; string image_ref = 9;
  }
  message ContainerStatusResponse { ContainerStatus status = 1; map<string, string> info = 2; }
`)

export type Fault = 'silent' | 'unimplemented' | 'garbage' | 'broken'
type Objects = {
  containers: { id: string; [field: string]: unknown }[]
  sandboxes: { id: string; [field: string]: unknown }[]
}

export async function startRuntime(socket: string, objects: Objects) {
  const calls: string[] = []
  const sessions = new Set<ServerHttp2Session>()
  let fault: Fault | undefined

  const answers: Record<string, (request: Record<string, { id?: string }> & { containerId?: string }) => object> = {
    Version: () => ({ version: '0.1.0', runtimeName: 'containerd', runtimeVersion: 'v2.3.7', runtimeApiVersion: 'v1' }),
    ListContainers: ({ filter }) => ({ containers: objects.containers.filter(({ id }) => id === filter?.id) }),
    ListPodSandbox: ({ filter }) => ({ items: objects.sandboxes.filter(({ id }) => id === filter?.id) }),
    ContainerStatus: ({ containerId }) => ({ status: objects.containers.find(({ id }) => id === containerId) }),
  }

  function answer(stream: ServerHttp2Stream, method: string, request: Buffer): void {
    if (fault === 'broken') stream.session?.destroy()
    if (fault === 'unimplemented') {
      // What has no body has its status in the headers.
      stream.respond({ 'content-type': 'application/grpc', 'grpc-status': '12', 'grpc-message': 'unknown%20service' })
      stream.end()
    }
    if (fault !== undefined && fault !== 'garbage') return
    const asked = root.lookupType(`runtime.v1.${method}Request`).decode(request.subarray(5))
    const body =
      fault === 'garbage'
        ? Buffer.from('not a message')
        : root
            .lookupType(`runtime.v1.${method}Response`)
            .encode(answers[method]?.(asked.toJSON()) ?? {})
            .finish()
    const head = Buffer.alloc(5)
    head.writeUInt32BE(body.length, 1)
    stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
    stream.end(Buffer.concat([head, body]))
  }

  const server = createServer()
  server.on('session', (session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  server.on('stream', (stream, headers) => {
    const [, service, method = ''] = String(headers[':path']).split('/')
    const chunks: Uint8Array[] = []
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => {
      calls.push(method)
      if (service === 'runtime.v1.RuntimeService') answer(stream, method, Buffer.concat(chunks))
    })
  })
  await new Promise<void>((done) => server.listen(socket, done))

  return {
    calls,
    objects,
    fault(next: Fault | undefined): void {
      fault = next
    },
    stop(): Promise<void> {
      for (const session of sessions) session.destroy()
      return new Promise((done) => server.close(() => done()))
    },
  }
}
export type RuntimeServer = Awaited<ReturnType<typeof startRuntime>>
