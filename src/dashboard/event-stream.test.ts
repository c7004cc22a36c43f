import { getEventListeners, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { getRequestListener } from '@hono/node-server';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeDashboardRun } from '../../test/dashboard-run.js';
import { createWatcher, type Watcher } from './events.js';
import { createRunFeed } from './run-feed.js';
import { createApp } from './server.js';

let folder: string;
let watcher: Watcher;
let listening = 0;
const ending = new AbortController();
const server = createServer();

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'event-stream-'));
  writeDashboardRun(folder, 'failed');
  const runs = [createRunFeed(folder, 0)];
  const inner = createWatcher(runs, 20);
  watcher = {
    ...inner,
    listen(listener) {
      listening++;
      const end = inner.listen(listener);
      return () => {
        listening--;
        end();
      };
    },
  };
  const { signal } = ending;
  const app = createApp({ runs, watcher, assets: new Map(), host: '127.0.0.1', signal });
  server.removeAllListeners('request').on('request', getRequestListener(app.fetch));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(async () => {
  watcher.close();
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Resources that open streams hold. */
function held() {
  const timers = process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  return { listening, abortListeners: getEventListeners(ending.signal, 'abort').length, timers };
}

type Leave = 'at once' | 'after the first byte' | 'after the state' | 'once answered';

async function visit(method: string, leave: Leave): Promise<void> {
  const { port } = server.address() as AddressInfo;
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(`${method} /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  if (leave === 'at once') await sleep(Math.random() * 20);
  else {
    let text = '';
    const wanted = { 'after the first byte': '', 'after the state': 'data: ', 'once answered': '\r\n\r\n' }[
      leave
    ];
    for await (const chunk of socket) {
      text += chunk;
      if (text.includes(wanted)) break;
    }
  }
  socket.destroy();
}

test.each([
  ['GET', 'at once'],
  ['GET', 'after the first byte'],
  ['GET', 'after the state'],
  ['HEAD', 'once answered'],
] as const)(
  '%s, disconnected %s: all its resources are released',
  async (method, leave) => {
    const before = held();
    expect(before).toMatchObject({ listening: 0, abortListeners: 0 });
    for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: 25 }, () => visit(method, leave)));
    for (const end = Date.now() + 30_000; Date.now() < end; await sleep(20)) {
      const { listening, abortListeners, timers } = held();
      // The watcher's own tick ends with its last listener; the server has one for its connections.
      if (listening + abortListeners === 0 && timers <= before.timers + 2) break;
    }
    expect(held()).toMatchObject({ listening: 0, abortListeners: 0 });
    expect(held().timers).toBeLessThanOrEqual(before.timers + 2);
  },
  60_000,
);

test('many readers at once are not reported as a leak', async () => {
  const warnings: string[] = [];
  const onWarning = ({ name }: Error) => warnings.push(name);
  process.on('warning', onWarning);
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: 20 }, () => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {}).resume();
    socket.write('GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    return socket;
  });
  await expect.poll(() => listening, { timeout: 20_000 }).toBe(20);
  for (const socket of sockets) socket.destroy();
  await expect.poll(() => listening, { timeout: 20_000 }).toBe(0);
  process.off('warning', onWarning);
  expect(warnings).toEqual([]);
});

test('a connected reader is informed and disconnected when the server closes', async () => {
  const own = new AbortController();
  const runs = [createRunFeed(folder, 0)];
  const app = createApp({ runs, watcher, assets: new Map(), host: '127.0.0.1', signal: own.signal });
  const response = await app.request('http://localhost/api/events', { headers: { host: 'localhost' } });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toContain('data: {');
  await expect.poll(() => listening).toBe(1);
  own.abort();
  await expect.poll(() => listening).toBe(0);
  expect(getEventListeners(own.signal, 'abort')).toEqual([]);
  while (!(await reader.read()).done);
});
