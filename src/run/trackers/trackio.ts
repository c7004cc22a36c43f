import { z } from 'zod';
import { RunError } from '../../base/errors.js';
import { demand } from './post.js';
import type { Tracker } from './tracker.js';

/** Trackio's own variable of its client. */
interface Credentials {
  readonly TRACKIO_WRITE_TOKEN?: string | undefined;
}

/**
 * Trackio, through the HTTP API of its own client: the call `bulk_log`, which its documentation describes. A record with a known
 * `log_id` is ignored, so nothing is stored twice. Runs have no state, and the server records its own time.
 */
export function trackioTracker(url: string, project: string, env: Credentials = process.env): Tracker {
  const label = `Trackio at ${url}`;
  const base = url.replace(/\/+$/, '');
  const token = env.TRACKIO_WRITE_TOKEN;
  const headers: Record<string, string> = token ? { 'x-trackio-write-token': token } : {};

  return {
    kind: 'trackio',
    label,
    place: { url, project },

    // Its runs begin with their first record.
    async open({ id }, signal) {
      const found = await demand({ label, url: new URL(`${base}/version`), headers, signal });
      const version = versionSchema.safeParse(found).data?.api_version;
      if (version === API) return id;
      throw new RunError(`${label} has version ${version ?? '?'} of the API, not ${API}`, {
        hint: 'use a Trackio server of the version in docs/trackers.md',
      });
    },

    async send(run, records, signal) {
      const logs = records.map(({ id, step, values }, i) => ({
        project,
        run: run.name,
        run_id: run.id,
        metrics: values,
        step,
        log_id: `${run.id}/${id}`,
        ...(i === 0 && { config: { ...run.settings, ...run.tags } }),
      }));
      const body = { kwargs: { logs, hf_token: null } };
      await demand({ label, url: new URL(`${base}/api/bulk_log`), headers, body, signal });
    },

    mark: async () => {},
  };
}

/** Version of the API, as the server states it. */
const API = 1;
const versionSchema = z.object({ api_version: z.number() });
