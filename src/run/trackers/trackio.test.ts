import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { trackioTracker } from './trackio.js';

// Trackio's `LogEntry`, as version 0.43 has it.
const entry = z.strictObject({
  project: z.string(),
  run: z.string(),
  run_id: z.string(),
  metrics: z.record(z.string(), z.number()),
  step: z.int(),
  config: z.record(z.string(), z.unknown()).optional(),
  log_id: z.string(),
});
const request = z.strictObject({
  kwargs: z.strictObject({ logs: z.array(entry), hf_token: z.null() }),
});

const RUN = {
  id: 'id',
  key: 'id',
  name: 'flowers',
  started: 0,
  settings: { seed: 1 },
  tags: { recipe: 'f' },
};
const never = new AbortController().signal;

let server: Server;
let stored: Map<string, z.infer<typeof entry>>;
let version: unknown;
beforeEach(async () => {
  stored = new Map();
  version = { version: '0.43.0', api_version: 1 };
  server = createServer(async (asked, response) => {
    const body = Buffer.concat(await asked.toArray()).toString();
    const json = (status: number, content: unknown) =>
      response.writeHead(status).end(JSON.stringify(content));
    if (asked.url === '/version') return json(200, version);
    if (asked.url !== '/api/bulk_log') return json(404, { error: 'Unknown API' });
    if (asked.headers['x-trackio-write-token'] !== 'word')
      return json(400, { error: 'A write_token is required' });
    for (const each of request.parse(JSON.parse(body)).kwargs.logs) {
      if (!stored.has(each.log_id)) stored.set(each.log_id, each);
    }
    return json(200, { data: null });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(() => server.close());

const tracker = (token: string | undefined = 'word') =>
  trackioTracker(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, 'flowers', {
    TRACKIO_WRITE_TOKEN: token,
  });
const record = (step: number) => ({
  id: `PT/train/${step}`,
  step,
  time: 1,
  values: { 'PT/train/loss': 1 / step },
});

test('records are stored once, the recipe with the first of a request', async () => {
  expect(await tracker().open(RUN, never)).toBe('id');
  await tracker().send(RUN, [record(1), record(2)], never);
  await tracker().send(RUN, [record(2), record(3)], never);
  expect([...stored.values()].map(({ step, metrics }) => [step, metrics['PT/train/loss']])).toEqual([
    [1, 1],
    [2, 1 / 2],
    [3, 1 / 3],
  ]);
  expect(stored.get('id/PT/train/1')).toMatchObject({
    project: 'flowers',
    run: 'flowers',
    run_id: 'id',
    config: { seed: 1, recipe: 'f' },
  });
});

test('without the token, and with another version of the API, it says what is wrong', async () => {
  await expect(tracker('wrong').send(RUN, [record(1)], never)).rejects.toThrow(
    'answered: A write_token is required',
  );
  version = { api_version: 2 };
  await expect(tracker().open(RUN, never)).rejects.toThrow('has version 2 of the API, not 1');
});
