import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { getRequestListener } from '@hono/node-server';
import { errorText, InputError } from '../base/errors.js';
import { createApp } from './app.js';
import { readAssets } from './assets.js';
import { createWatcher } from './events.js';
import { createRunFeed } from './run-feed.js';
import { isLoopback, newToken } from './security.js';

export interface DashboardOptions {
  /** Run folders. */
  readonly runs: readonly string[];
  /** 127.0.0.1 unless told; elsewhere a token is needed, and made where none is given. */
  readonly host?: string;
  /** 0, the default: one that is free. */
  readonly port?: number;
  readonly token?: string;
}

export interface Dashboard {
  /** To open, token included. */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the page of some runs. @throws InputError for a folder that is no run, or a port that is taken */
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

/** A browser opens six for a page. */
const MOST_CONNECTIONS = 512;

async function listen(server: Server, host: string, port: number): Promise<number> {
  server.listen(port, host);
  try {
    await once(server, 'listening');
  } catch (error) {
    throw new InputError(`Cannot listen at ${host}, port ${port}: ${errorText(error)}`, {
      hint: 'Choose another --port, or leave it out for one that is free.',
      cause: error,
    });
  }
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : port;
}
