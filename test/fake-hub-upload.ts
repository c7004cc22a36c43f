import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the hub misbehaves. Statuses are answered to requests whose path contains the key. */
export interface UploadFaults {
  statuses?: Readonly<Record<string, number>>;
  /** The connection breaks at such a request. */
  breakAt?: string;
}

export interface FakeUploadHub {
  readonly address: string;
  readonly faults: UploadFaults;
  /** What was committed: files by path, by repository. */
  readonly repositories: Map<string, Map<string, Buffer>>;
  readonly created: { name: string; organization: string; visibility?: string; type: string }[];
  readonly titles: string[];
  readonly requests: { method?: string; url: string; authorization?: string }[];
  close(): void;
}

const TOKEN = 'hf_writer';

/** The endpoints of the Hugging Face hub that an upload needs, for the token hf_writer of the user `ada`. */
export async function startFakeUploadHub(existing: readonly string[] = []): Promise<FakeUploadHub> {
  const faults: UploadFaults = {};
  const repositories = new Map(existing.map((name) => [name, new Map<string, Buffer>()]));
  const storage = new Map<string, Buffer>();
  const [created, titles, requests]: [FakeUploadHub['created'], string[], FakeUploadHub['requests']] = [
    [],
    [],
    [],
  ];

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { method, url = '', headers } = request;
    requests.push({ method, url, authorization: headers.authorization });
    if (faults.breakAt !== undefined && url.includes(faults.breakAt)) return request.socket.destroy();
    const body = Buffer.concat(await request.toArray());
    const status = Object.entries(faults.statuses ?? {}).find(([part]) => url.includes(part))?.[1];
    if (status !== undefined) return json(response, status, { error: `fault ${status}` });
    const [, stored] = /^\/storage\/(\w+)$/.exec(url) ?? [];
    if (stored !== undefined) {
      if (createHash('sha256').update(body).digest('hex') !== stored) return json(response, 400, {});
      storage.set(stored, body);
      return response.end();
    }
    if (headers.authorization !== `Bearer ${TOKEN}`)
      return json(response, 401, { error: 'Invalid credentials' });
    const [, repository = ''] = /^\/(?:api\/models\/)?([^/]+\/[^/?]+?)(?:\.git)?(?:[/?]|$)/.exec(url) ?? [];
    if (url === '/api/repos/create') {
      const wanted = JSON.parse(body.toString());
      if (wanted.organization !== 'ada') return json(response, 403, { error: "You don't have the rights" });
      created.push(wanted);
      repositories.set(`${wanted.organization}/${wanted.name}`, new Map());
      return json(response, 200, { url: 'x', id: 'x' });
    }
    const files = repositories.get(repository);
    if (files === undefined) return json(response, 404, { error: 'Repository not found' });
    if (url.includes('/preupload/')) {
      const wanted = JSON.parse(body.toString()) as { files: { path: string }[] };
      const modeOf = (path: string) => (path.endsWith('.safetensors') ? 'lfs' : 'regular');
      return json(response, 200, {
        files: wanted.files.map(({ path }) => ({ path, uploadMode: modeOf(path) })),
      });
    }
    if (url.endsWith('/info/lfs/objects/batch')) {
      const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
      const upload = (oid: string) => ({ upload: { href: `${address}/storage/${oid}` } });
      const answered = objects.map(({ oid, size }) => ({
        oid,
        size,
        ...(!storage.has(oid) && { actions: upload(oid) }),
      }));
      return json(response, 200, { transfer: 'basic', objects: answered });
    }
    if (url.includes('/commit/')) {
      for (const line of body.toString().trim().split('\n')) {
        const { key, value } = JSON.parse(line);
        if (key === 'header') titles.push(value.summary);
        if (key === 'file') files.set(value.path, Buffer.from(value.content, value.encoding));
        if (key === 'lfsFile') files.set(value.path, storage.get(value.oid) ?? Buffer.from('missing'));
      }
      return json(response, 200, { commitOid: 'abc', commitUrl: 'x', hookOutput: '' });
    }
    return json(response, 200, { id: repository });
  };

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { address, faults, repositories, created, titles, requests, close };
}

function json(response: ServerResponse, status: number, content: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(content));
}
