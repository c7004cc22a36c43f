import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the hub misbehaves. */
export interface Faults {
  /** Stated SHA-256 of large files. */
  digest?: string;
  status?: number;
  /** The connection breaks after this number of bytes of each large file. */
  breakAfter?: number;
  /** Instead of breaking, the connection stays open without further data. */
  stalls?: boolean;
  /** Requests for a range of a large file are answered with the whole file. */
  ignoresRange?: boolean;
  /** Sent without an end: the list of files, or the file with this name, whatever its stated size. */
  endless?: 'list' | (string & {});
  /** Stated sizes of files. */
  sizes?: Readonly<Record<string, number>>;
  /** Answer to every request. */
  answer?: string;
}

export interface FakeHub {
  readonly address: string;
  readonly faults: Faults;
  readonly requests: {
    method?: string;
    url: string;
    authorization?: string;
    range?: string;
    isStorage: boolean;
  }[];
  close(): void;
}

/**
 * The repository someone/vits at revision main, behind the endpoints of the Hugging Face hub that a download needs:
 * paths-info, and resolve with ranges, redirects and xet. Files not named .json are large: the hub redirects the
 * client to another host for them.
 */
export async function startFakeHub(files: Readonly<Record<string, Buffer>>): Promise<FakeHub> {
  const faults: Faults = {};
  const requests: FakeHub['requests'] = [];
  const start = (isStorage: boolean, answer: typeof onStorage) =>
    listen((request, response) => {
      const { method, url = '', headers } = request;
      requests.push({ method, url, authorization: headers.authorization, range: headers.range, isStorage });
      if (faults.answer !== undefined) response.end(faults.answer);
      else return answer(request, response);
    });
  const onStorage = (request: IncomingMessage, response: ServerResponse) =>
    send(request, response, files[(request.url ?? '').slice(1)], faults);
  const onHub = (request: IncomingMessage, response: ServerResponse) => {
    const { url = '', headers } = request;
    const path = url.replace('/someone/vits/resolve/main/', '');
    if (faults.status !== undefined || !/^\/(api\/models\/)?someone\/vits\//.test(url)) {
      response.writeHead(faults.status ?? 404, { 'content-type': 'application/json' });
      response.end('{"error":"Repository not found"}');
    } else if (url === '/api/models/someone/vits/paths-info/main' && faults.endless === 'list') {
      sendForever(response);
    } else if (path === faults.endless) {
      sendForever(response, headers.range && files[path].length);
    } else if (url === '/api/models/someone/vits/paths-info/main') {
      return pathsInfo(request, response, files, faults);
    } else if (files[path] === undefined) {
      response.writeHead(404).end();
    } else if (!isLarge(path)) {
      send(request, response, files[path], {});
    } else if (headers.accept?.includes('xet-fileinfo')) {
      response.writeHead(200, xetHeaders(hub, files[path])).end('{}');
    } else {
      response.writeHead(302, { location: `${addressOf(storage)}/${path}` }).end();
    }
  };
  const storage = await start(true, onStorage);
  const hub = await start(false, onHub);
  const close = () => {
    for (const each of [hub, storage]) {
      each.closeAllConnections();
      each.close();
    }
  };
  return { address: addressOf(hub), faults, requests, close };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

function listen(handler: Handler): Promise<Server> {
  const server = createServer(handler);
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function isLarge(path: string): boolean {
  return !path.endsWith('.json');
}

async function pathsInfo(
  request: IncomingMessage,
  response: ServerResponse,
  files: Readonly<Record<string, Buffer>>,
  faults: Faults,
): Promise<void> {
  const { paths } = JSON.parse(Buffer.concat(await request.toArray()).toString()) as { paths: string[] };
  const folders = new Set(Object.keys(files).map((path) => path.slice(0, path.lastIndexOf('/'))));
  const infos = paths.flatMap((path) => {
    if (folders.has(path)) return [{ type: 'directory', path, size: 0, oid: 'aa' }];
    const file = files[path];
    if (file === undefined) return [];
    const size = faults.sizes?.[path] ?? file.length;
    if (!isLarge(path)) {
      const oid = createHash('sha1').update(`blob ${size}\0`).update(file).digest('hex');
      return [{ type: 'file', path, size, oid }];
    }
    const oid = faults.digest ?? createHash('sha256').update(file).digest('hex');
    return [{ type: 'file', path, size, oid: 'bb', lfs: { oid, size, pointerSize: 134 } }];
  });
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(infos));
}

function xetHeaders(hub: Server, file: Buffer) {
  const xet = `${addressOf(hub)}/xet`;
  return {
    'content-type': 'application/vnd.xet-fileinfo+json',
    'x-linked-size': file.length,
    'x-xet-hash': 'abc',
    link: `<${xet}>; rel="xet-auth", <${xet}>; rel="xet-reconstruction-info"`,
    etag: '"abc"',
  };
}

/** @param size that is stated to a request for a part */
function sendForever(response: ServerResponse, size?: number | ''): void {
  const range = size ? { 'content-range': `bytes 0-0/${size}` } : {};
  response.writeHead(size ? 206 : 200, { 'content-type': 'application/json', etag: '"x"', ...range });
  const chunk = Buffer.alloc(2 ** 16, ' ');
  const more = () => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', more);
  more();
}

function send(request: IncomingMessage, response: ServerResponse, file: Buffer, faults: Faults): void {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
  const isPart = from !== undefined && !faults.ignoresRange;
  const [start, end] = isPart ? [Number(from), Number(to) + 1] : [0, file.length];
  response.writeHead(isPart ? 206 : 200, {
    'content-length': end - start,
    etag: '"x"',
    ...(isPart && { 'content-range': `bytes ${start}-${end - 1}/${file.length}` }),
  });
  if (faults.breakAfter === undefined) {
    response.end(file.subarray(start, end));
    return;
  }
  response.flushHeaders();
  response.write(file.subarray(start, Math.min(end, start + faults.breakAfter)), () => {
    if (!faults.stalls) response.destroy();
  });
}
