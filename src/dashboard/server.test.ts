import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { appendSteps, writeDashboardRun } from '../../test/dashboard-run.js';
import { createWatcher, type Watcher } from './events.js';
import type { PhaseDetails, RunState, Series, Update } from './protocol.js';
import { createRunFeed } from './run-feed.js';
import { createApp } from './server.js';

const TOKEN = 'correct-horse-battery-staple';
const SECRET = 'nobody may read this';
let folder: string;
let root: string;
let watcher: Watcher;

const template = mkdtempSync(join(tmpdir(), 'dashboard-run-'));
beforeAll(() => writeDashboardRun(template, 'failed'));
afterAll(() => rmSync(template, { recursive: true }));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dashboard-'));
  root = join(folder, 'run');
  cpSync(template, root, { recursive: true });
  writeFileSync(join(folder, 'secret.txt'), SECRET);
  writeFileSync(join(root, 'secret.txt'), SECRET);
});
afterEach(() => {
  watcher.close();
  rmSync(folder, { recursive: true, force: true });
});

function appOf({ host = '127.0.0.1', token }: { host?: string; token?: string } = {}) {
  const runs = [createRunFeed(root, 0)];
  watcher = createWatcher(runs, 20);
  const page = new Uint8Array(Buffer.from('<!doctype html>'));
  const assets = new Map([['/', { type: 'text/html', plain: page, gzip: page, br: page }]]);
  const app = createApp({ runs, watcher, assets, host, ...(token && { token }) });
  const get = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    app.request(`http://localhost${path}`, { method, headers: { host: 'localhost:8080', ...headers } });
  return { app, get };
}

describe('no path leads outside', () => {
  const ways = ['..', '%2e%2e', '%2E%2E', '..%2f', '%2e%2e%2f', '..%5c', '....//', '%252e%252e', '..%00'];
  const places = ways.flatMap((way) => [
    `/${way}/secret.txt`,
    `/assets/${way}/${way}/secret.txt`,
    `/api/runs/${way}/recipe`,
    `/api/runs/0/log?phase=${way}`,
    `/api/runs/0/log?phase=PT/${way}/${way}`,
    `/api/runs/0/log?phase=MT/0/${way}/..`,
    `/api/series?runs=${way}&metrics=loss`,
    `/api/runs/0/details?phase=${way}`,
    `/api/runs/${way}/samples/eval/1?phase=PT`,
    `/api/runs/0/samples/${way}/1?phase=PT`,
    `/api/runs/0/samples/eval/${way}?phase=PT`,
    `/api/runs/0/samples/eval/${way}secret.txt?phase=PT`,
    `/api/runs/0/samples/eval/1?phase=${way}`,
    `/api/runs/0/pictures/${way}/0?phase=PT`,
    `/api/runs/0/pictures/1/${way}?phase=PT`,
    `/api/runs/0/pictures/1/0?phase=${way}`,
  ]);
  test.each([
    ...places,
    '/secret.txt',
    '/api/runs/0/secret.txt',
    '/api/runs/1e0/recipe',
    '/api/runs/-1/recipe',
  ])('%s', async (path) => {
    const { get } = appOf();
    await get('/api/runs');
    const response = await get(path);
    const text = await response.text();
    expect(text).not.toContain(SECRET);
    expect(response.status === 404 || text === '[]').toBe(true);
  });

  test('a run whose files are links does not show the files they point to', async () => {
    for (const name of ['PT/log.txt', 'recipe.json', 'plan.json', 'PT/metrics.jsonl']) {
      unlinkSync(join(root, name));
      symlinkSync(join(folder, 'secret.txt'), join(root, name));
    }
    const { get } = appOf();
    for (const path of ['/api/runs', '/api/runs/0/log?phase=PT', '/api/runs/0/recipe']) {
      const response = await get(path);
      expect(response.status).toBe(200);
      expect(await response.text()).not.toContain(SECRET);
    }
  });

  test('neither does a run whose folders are links', async () => {
    const elsewhere = join(folder, 'elsewhere');
    renameSync(join(root, 'PT'), elsewhere);
    symlinkSync(elsewhere, join(root, 'PT'));
    rmSync(join(root, 'MT/0/samples'), { recursive: true, force: true });
    symlinkSync(join(elsewhere, 'samples'), join(root, 'MT/0/samples'));
    const { get } = appOf();
    await get('/api/runs');
    expect(await (await get('/api/runs/0/log?phase=PT')).json()).toEqual([]);
    const nothing = { confusion: null, train: null, eval: null, drawn: null };
    expect(await (await get('/api/runs/0/details?phase=PT')).json()).toEqual(nothing);
    expect(await (await get('/api/runs/0/details?phase=MT/0')).json()).toMatchObject({ eval: null });
    for (const phase of ['PT', 'MT/0']) {
      expect((await get(`/api/runs/0/samples/eval/2800?phase=${phase}`)).status).toBe(404);
    }
  });

  test('a picture that is a link, or not a picture, is not served', async () => {
    const strip = join(root, 'PT/samples/eval-2800.png');
    writeFileSync(strip, SECRET);
    const { get } = appOf();
    await get('/api/runs');
    const path = '/api/runs/0/samples/eval/2800?phase=PT';
    expect((await get(path)).status).toBe(404);
    unlinkSync(strip);
    symlinkSync(join(root, 'PT/samples/train-0.png'), strip);
    expect((await get(path)).status).toBe(404);
    expect((await get('/api/runs/0/samples/train/0?phase=PT')).status).toBe(200);
  });

  test('drawn predictions and their pictures', async () => {
    const drawn = {
      step: 2800,
      classes: [{ class: 0, name: 'cat', ap: 50, mask_ap: null, objects: 2 }],
      images: [
        { index: 0, file: '/data/a.jpg', width: 8, height: 8, classes: [{ class: 0, colour: '#aabbcc' }] },
      ],
    };
    writeFileSync(join(root, 'PT/detection.json'), JSON.stringify(drawn));
    const picture = readFileSync(join(root, 'PT/samples/train-0.png'));
    writeFileSync(join(root, 'PT/samples/map-2800-0.png'), picture);
    const { get } = appOf();
    await get('/api/runs');
    expect(await (await get('/api/runs/0/details?phase=PT')).json()).toMatchObject({
      drawn: { task: 'detection', ...drawn, images: [{ ...drawn.images[0], file: 'a.jpg' }] },
    });
    const found = await get('/api/runs/0/pictures/2800/0?phase=PT');
    expect(Buffer.from(await found.arrayBuffer()).equals(picture)).toBe(true);
    expect((await get('/api/runs/0/pictures/2800/1?phase=PT')).status).toBe(404);
  });

  test('as raw requests, not normalised by a client', async () => {
    const { startDashboard } = await import('./server.js');
    appOf();
    const dashboard = await startDashboard({ runs: [root] });
    const { port } = new URL(dashboard.url);
    const status = (path: string) =>
      new Promise<string>((resolve, reject) => {
        request({ host: '127.0.0.1', port, path }, (response) => {
          let text = '';
          response.on('data', (chunk) => (text += chunk));
          response.on('end', () => resolve(`${response.statusCode} ${text}`));
        })
          .on('error', reject)
          .end();
      });
    for (const path of ['/../secret.txt', '/assets/../../secret.txt', '//secret.txt', '/%2e%2e/secret.txt']) {
      expect(await status(path)).toMatch(/^40\d (?!nobody)/);
    }
    await dashboard.close();
  });
});

describe('access', () => {
  test.each(['localhost', 'localhost:1234', '127.0.0.1:80', '[::1]:8080'])('host %s', async (host) => {
    expect((await appOf().get('/api/runs', { host })).status).toBe(200);
  });

  test.each(['evil.example', 'evil.example:8080', 'localhost.evil.example', '192.168.0.7', ''])(
    'not host "%s": DNS may resolve any name to this address',
    async (host) => {
      expect((await appOf().get('/api/runs', { host })).status).toBe(421);
    },
  );

  test('on other hosts, addresses are accepted and unknown host names are not', async () => {
    const { get } = appOf({ host: '0.0.0.0', token: TOKEN });
    const authorization = `Bearer ${TOKEN}`;
    expect((await get('/api/runs', { host: '192.168.0.7:80', authorization })).status).toBe(200);
    expect((await get('/api/runs', { host: 'evil.example', authorization })).status).toBe(421);
  });

  test('the page of another site cannot read anything', async () => {
    expect((await appOf().get('/api/runs', { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
  });

  test.each(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s is not allowed', async (method) => {
    expect((await appOf().get('/api/runs', {}, method)).status).toBe(405);
  });

  test('with a token: a missing, wrong or partial token, and the token on another address, are refused', async () => {
    const { get } = appOf({ token: TOKEN });
    const wrong: Record<string, string>[] = [
      {},
      { authorization: 'Bearer ' },
      { authorization: `Bearer ${TOKEN.slice(1)}` },
      { cookie: `a=${TOKEN}` },
    ];
    for (const headers of wrong) expect((await get('/api/runs', headers)).status).toBe(401);
    for (const path of ['/', '/?token=wrong', `/api/runs?token=${TOKEN}`, '/api/events', '/nothing']) {
      expect((await get(path)).status).toBe(401);
    }
  });

  test('after the first request with the token, an HttpOnly cookie authenticates', async () => {
    const { get } = appOf({ token: TOKEN });
    const entered = await get(`/?token=${TOKEN}`);
    expect([entered.status, entered.headers.get('location')]).toEqual([303, '/']);
    const cookie = entered.headers.get('set-cookie') ?? '';
    expect(cookie).toMatch(/HttpOnly; SameSite=Lax/);
    expect((await get('/api/runs', { cookie: cookie.split(';')[0] })).status).toBe(200);
  });
});

test.each(['/', '/api/runs', '/nothing', '/api/runs/0/log?phase=PT'])(
  '%s carries the strict headers',
  async (path) => {
    const { headers } = await appOf().get(path);
    const policy = headers.get('content-security-policy') ?? '';
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/unsafe|\*|data:/);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('referrer-policy')).toBe('no-referrer');
  },
);

test('refusals have these headers too', async () => {
  const { headers, status } = await appOf({ token: TOKEN }).get('/');
  expect(status).toBe(401);
  expect(headers.get('content-security-policy')).toContain("default-src 'none'");
});

test('hostile log lines are sent whole as JSON text; hostile records are skipped and counted', async () => {
  const evil = '</script><img src=x onerror=alert(1)>\u0000\u001b[31m';
  appendFileSync(join(root, 'PT/log.txt'), `${evil}\n`);
  appendFileSync(join(root, 'PT/metrics.jsonl'), '{"kind":"step","step":"1"}\nnull\n[]\n{"__proto__":1}\n');
  const { get } = appOf();
  const [run] = (await (await get('/api/runs')).json()) as RunState[];
  expect(run.phases[0]).toMatchObject({ phase: 'PT', damaged_lines: 4, step: 2800 });
  const log = await get('/api/runs/0/log?phase=PT');
  expect(log.headers.get('content-type')).toContain('application/json');
  expect(((await log.json()) as string[]).at(-1)).toBe(evil);
});

test('the run, its phases and why one failed', async () => {
  const [run] = (await (await appOf().get('/api/runs')).json()) as RunState[];
  expect(run).toMatchObject({ name: 'fashion-128', folder: 'run', state: 'failed' });
  expect(run.phases.map(({ phase, state }) => `${phase} ${state}`)).toEqual([
    ...['PT done', 'MT/0 done', 'MT/1 done', 'MT/2 failed', 'MT/3 waiting', 'FT waiting', 'E2E waiting'],
  ]);
  expect(run.phases[3].last_error).toContain('not finite');
});

test('the confusion matrix and images of a phase, without their paths', async () => {
  const { get } = appOf();
  await get('/api/runs');
  const details = (await (await get('/api/runs/0/details?phase=PT')).json()) as PhaseDetails;
  expect(details.confusion).toMatchObject({ step: 2800, classes: 10 });
  expect(details.eval?.images[0].file).toBe('image-0.png');
  const strip = await get('/api/runs/0/samples/eval/2800?phase=PT');
  expect(strip.headers.get('content-type')).toBe('image/png');
  const written = readFileSync(join(root, 'PT/samples/eval-2800.png'));
  expect(Buffer.from(await strip.arrayBuffer()).equals(written)).toBe(true);
});

describe('curves', () => {
  const seriesOf = async (query: string) =>
    (await (await appOf().get(`/api/series?runs=0&${query}`)).json()) as Series[];

  test('in sequence each phase starts where the previous one ended', async () => {
    const found = await seriesOf('metrics=loss&axis=block_passes&layout=sequence');
    expect(found.map(({ offset }) => offset).slice(0, 3)).toEqual([
      0,
      2800 * 64 * 12,
      64 * (2800 * 12 + 900 * 102),
    ]);
    expect(found.at(-1)).toMatchObject({ phase: 'E2E', offset: 0 });
  });

  test('zoomed in, every record is there as it was written', async () => {
    const [series] = await seriesOf('metrics=loss&axis=step&from=1000&to=1100&points=100');
    const written = readFileSync(join(root, 'PT/metrics.jsonl'), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const wanted = written.filter(({ kind, step }) => kind === 'step' && step >= 995 && step <= 1105);
    expect(series).toMatchObject({
      exact: true,
      x: wanted.map(({ step }) => step),
      y: wanted.map(({ loss }) => loss),
    });
  });

  test('invalid parameters fall back to the defaults', async () => {
    const found = await seriesOf('metrics=loss,nothing&axis=__proto__&layout=x&from=a&to=b&points=-4');
    expect(found).toHaveLength(7);
  });
});

describe('the stream', () => {
  async function* updatesOf(response: Response): AsyncGenerator<Update> {
    let text = '';
    for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
      text += Buffer.from(bytes).toString('utf8');
      const messages = text.split('\n\n');
      text = messages.pop() as string;
      for (const message of messages) {
        const data = /^data: (.*)$/m.exec(message)?.[1];
        if (data !== undefined) yield JSON.parse(data);
      }
    }
  }
  async function next(updates: AsyncGenerator<Update>, isIt: (update: Update) => boolean): Promise<Update> {
    for (;;) {
      const { value } = await updates.next();
      if (value === undefined) throw new Error('the stream ended');
      if (isIt(value)) return value;
    }
  }

  test('first the whole state, then changes, a burst in one message; a reconnect gets the whole state', async () => {
    const { get } = appOf();
    const updates = updatesOf(await get('/api/events'));
    const first = await next(updates, () => true);
    const { generation, step_records: count } = first.runs[0].phases[3];
    appendSteps(
      root,
      'MT/2',
      Array.from({ length: 1000 }, (_, i) => 376 + i),
    );
    const second = await next(updates, ({ points }) => points.some(({ to }) => to === count + 1000));
    const part = second.points.find(({ phase, kind }) => phase === 'MT/2' && kind === 'step');
    expect(part).toMatchObject({ generation, to: count + 1000 });
    expect(part?.columns.loss.length).toBeLessThanOrEqual(64);
    await updates.return(undefined);

    appendSteps(root, 'MT/2', [1400]);
    const again = updatesOf(await get('/api/events'));
    const state = (await next(again, () => true)).runs[0].phases[3];
    expect(state).toMatchObject({ step: 1400, generation, step_records: count + 1001 });
    await again.return(undefined);
  });

  test('a file that starts over changes the generation', async () => {
    const { get } = appOf();
    const updates = updatesOf(await get('/api/events'));
    const before = (await next(updates, () => true)).runs[0].phases[3];
    writeFileSync(join(root, 'MT/2/metrics.jsonl'), '');
    appendSteps(root, 'MT/2', [1]);
    const after = await next(updates, ({ runs }) => runs[0]?.phases[3].step_records === 1);
    expect(after.runs[0].phases[3].generation).toBeGreaterThan(before.generation);
    await updates.return(undefined);
  });
});
