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
