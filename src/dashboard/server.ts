import { once, setMaxListeners } from 'node:events';
import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { errorText, InputError } from '../base/errors.js';
import { type Asset, readAssets } from './assets.js';
import { createWatcher, eventsOf, type Watcher } from './events.js';
import { AXES, EVAL_LOSS_METRIC, LAYOUTS, STEP_METRICS } from './protocol.js';
import { createRunFeed, type RunFeed } from './run-feed.js';
import { isLoopback, newToken, onlyReads, ownHost, securityHeaders, withToken } from './security.js';
import { seriesOf } from './series.js';

export interface DashboardOptions {
  /** Run folders. */
  readonly runs: readonly string[];
  /** Default 127.0.0.1. A non-loopback host needs a token; one is generated if none is given. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  readonly token?: string;
}

export interface Dashboard {
  /** The URL to open, including the token. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves the dashboard of the given runs.
 * @throws InputError if a folder is not a run folder, or the port is in use
 */
export async function startDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { host = '127.0.0.1', port = 0 } = options;
  const token = options.token ?? (isLoopback(host) ? undefined : newToken());
  const runs = options.runs.map(createRunFeed);
  const watcher = createWatcher(runs);
  const ending = new AbortController();
  const app = createApp({
    runs,
    watcher,
    assets: readAssets(),
    host,
    signal: ending.signal,
    ...(token !== undefined && { token }),
  });
  const server = createServer(getRequestListener(app.fetch));
  server.maxConnections = MOST_CONNECTIONS;
  const listeningAt = await listen(server, host, port);
  const name = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${name}:${listeningAt}/${token === undefined ? '' : `?token=${encodeURIComponent(token)}`}`,
    close: async () => {
      ending.abort();
      watcher.close();
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, 'close');
    },
  };
}

/** A browser opens up to six connections per page. */
const MOST_CONNECTIONS = 512;

async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new InputError(`Cannot listen on ${host}, port ${port}: ${errorText(error)}`, {
      hint: 'Choose another --port, or omit it to use a free port.',
      cause: error,
    });
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}

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
  app.get('/api/runs/:run/details', (c) => {
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
