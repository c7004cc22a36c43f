import { setMaxListeners } from 'node:events';
import { Hono } from 'hono';
import type { Asset } from './assets.js';
import { eventsOf, type Watcher } from './events.js';
import { AXES, EVAL_LOSS_METRIC, LAYOUTS, STEP_METRICS } from './protocol.js';
import type { RunFeed } from './run-feed.js';
import { onlyReads, ownHost, securityHeaders, withToken } from './security.js';
import { seriesOf } from './series.js';

interface AppOptions {
  readonly runs: readonly RunFeed[];
  readonly watcher: Watcher;
  readonly assets: ReadonlyMap<string, Asset>;
  /** The address that the server listens on. */
  readonly host: string;
  readonly token?: string;
  /** Aborted when the server shuts down, which also ends open streams. */
  readonly signal?: AbortSignal;
}

const MOST_POINTS = 4000;

/** The dashboard as a web application: the page, and its data under /api. A run's id is its index in `runs`. */
export function createApp({ runs, watcher, assets, host, token, signal }: AppOptions): Hono {
  // Each open page adds a listener, so a large number is not a leak; without this, Node prints a warning.
  if (signal !== undefined) setMaxListeners(0, signal);
  const app = new Hono();
  app.use(securityHeaders, onlyReads, ownHost(host));
  if (token !== undefined) app.use(withToken(token));

  const runOf = (id: string | undefined) => (/^\d{1,4}$/.test(id ?? '') ? runs[Number(id)] : undefined);

  app.get('/api/runs', async (c) => {
    await watcher.catchUp();
    return c.json(watcher.snapshot().runs);
  });
  app.get('/api/runs/:run/recipe', (c) => {
    const run = runOf(c.req.param('run'));
    return run === undefined ? c.notFound() : c.json(run.recipe());
  });
  app.get('/api/runs/:run/log', (c) => {
    const run = runOf(c.req.param('run'));
    return run === undefined ? c.notFound() : c.json(run.log(c.req.query('phase') ?? ''));
  });
  app.get('/api/runs/:run/judged', (c) => {
    const details = runOf(c.req.param('run'))?.details(c.req.query('phase') ?? '');
    return details === undefined ? c.notFound() : c.json(details);
  });
  app.get('/api/runs/:run/samples/:kind/:step', (c) => {
    const { run, kind, step } = c.req.param();
    if ((kind !== 'train' && kind !== 'eval') || !/^\d{1,15}$/.test(step)) return c.notFound();
    return pngOf(runOf(run)?.strip(c.req.query('phase') ?? '', kind, Number(step))) ?? c.notFound();
  });
  app.get('/api/runs/:run/pictures/:step/:image', (c) => {
    const { run, step, image } = c.req.param();
    if (!/^\d{1,15}$/.test(step) || !/^\d{1,2}$/.test(image)) return c.notFound();
    const phase = c.req.query('phase') ?? '';
    return pngOf(runOf(run)?.picture(phase, Number(step), Number(image))) ?? c.notFound();
  });
  app.get('/api/series', async (c) => {
    const { runs: ids = '', metrics = '', axis = '', layout = '', from, to, points = '' } = c.req.query();
    const known = {
      axis: AXES.find((name) => name === axis) ?? 'step',
      layout: LAYOUTS.find((name) => name === layout) ?? 'overlaid',
      points: Math.min(MOST_POINTS, Math.max(16, Math.floor(Number(points)) || 800)),
    };
    const range = [Number(from), Number(to)] as const;
    const hasRange = from !== undefined && to !== undefined && range.every(Number.isFinite);
    await watcher.catchUp();
    const wanted = [...new Set(ids.split(','))].flatMap((id) => runOf(id) ?? []);
    const asked = new Set(metrics.split(','));
    const curves = wanted.flatMap((run) => {
      const metrics = chartMetrics(run).filter((name) => asked.has(name));
      return seriesOf(run, { ...known, metrics, ...(hasRange && { range }) });
    });
    return c.json(curves);
  });
  app.get('/api/events', (c) => eventsOf(c, watcher, signal));

  app.get('*', (c) => {
    const asset = assets.get(c.req.path);
    return asset === undefined
      ? c.notFound()
      : served(c.req.header('accept-encoding') ?? '', c.req.path, asset);
  });
  app.notFound((c) => c.text('Not found.\n', 404));
  app.onError((_, c) => c.text('Internal server error.\n', 500));
  return app;
}

function pngOf(bytes: Buffer | undefined): Response | undefined {
  return bytes && new Response(new Uint8Array(bytes), { headers: { 'content-type': 'image/png' } });
}

/** The curves of a run that can be requested. */
function chartMetrics({ metrics }: RunFeed): string[] {
  return [...STEP_METRICS, ...metrics.all.map(({ name }) => name), EVAL_LOSS_METRIC];
}

function served(accepts: string, path: string, asset: Asset): Response {
  const encoding = (['br', 'gzip'] as const).find((name) => new RegExp(`\\b${name}\\b`).test(accepts));
  return new Response(asset[encoding ?? 'plain'], {
    headers: {
      'content-type': asset.type,
      vary: 'accept-encoding',
      // Names of built files contain a hash of their content.
      'cache-control': path.startsWith('/assets/') ? 'private, max-age=31536000, immutable' : 'no-cache',
      ...(encoding && { 'content-encoding': encoding }),
    },
  });
}
