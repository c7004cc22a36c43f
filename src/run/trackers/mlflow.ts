import { z } from 'zod';
import type { Status } from '../phase-status.js';
import { type Answer, ask, demand, refused } from './post.js';
import { MOST_VALUES, type OpenRun, type TrackedRun, type Tracker } from './tracker.js';

/** MLflow's own variables of its client. */
interface Credentials {
  readonly MLFLOW_TRACKING_TOKEN?: string | undefined;
  readonly MLFLOW_TRACKING_USERNAME?: string | undefined;
  readonly MLFLOW_TRACKING_PASSWORD?: string | undefined;
}

/** Contains the id of our run: a run is found again by it. */
const ID_TAG = 'deep_incubation_run';
const MOST_PARAMS = 100;
/** Longer values are cut: the limit of MLflow before version 2.8, and of servers that follow it. */
const MOST_LETTERS = 500;

/** MLflow, through its REST API (version 2.0 of the API, which MLflow 1 to 3 have). */
export function mlflowTracker(url: string, experiment: string, env: Credentials = process.env): Tracker {
  const label = `MLflow at ${url}`;
  const headers = authorization(env);
  const at = (path: string) => new URL(`${url.replace(/\/+$/, '')}/api/2.0/mlflow/${path}`);
  const post = (path: string, body: unknown, signal: AbortSignal) =>
    demand({ label, url: at(path), headers, body, signal });

  const experimentId = async (signal: AbortSignal): Promise<string> => {
    const find = at('experiments/get-by-name');
    find.searchParams.set('experiment_name', experiment);
    const request = { label, url: find, headers, signal };
    const found = await ask(request);
    if (found.status === 200) return experimentSchema.parse(found.content).experiment.experiment_id;
    if (!isMissing(found)) throw refused(label, found);
    const create = { label, url: at('experiments/create'), headers, body: { name: experiment }, signal };
    const made = await ask(create);
    if (made.status === 200) return createdSchema.parse(made.content).experiment_id;
    // Another run may have made it meanwhile.
    const again = await ask(request);
    if (again.status !== 200) throw refused(label, made);
    return experimentSchema.parse(again.content).experiment.experiment_id;
  };

  return {
    kind: 'mlflow',
    label,
    place: { url, experiment },

    async open(run, signal) {
      const experiment_id = await experimentId(signal);
      const filter = `tags.${ID_TAG} = '${run.id}'`;
      const search = { experiment_ids: [experiment_id], filter, max_results: 1 };
      const [found] = foundSchema.parse(await post('runs/search', search, signal)).runs;
      const { info } = found ?? (await create(run, experiment_id, signal));
      const params = entriesOf(run.settings);
      for (let at = 0; at < params.length; at += MOST_PARAMS) {
        const some = params.slice(at, at + MOST_PARAMS);
        await post('runs/log-batch', { run_id: info.run_id, params: some }, signal);
      }
      return info.run_id;
    },

    async send({ key }, records, signal) {
      const metrics = records.flatMap(({ step, time, values }) =>
        Object.entries(values).map(([name, value]) => ({ key: name, value, step, timestamp: time })),
      );
      for (let at = 0; at < metrics.length; at += MOST_VALUES) {
        await post('runs/log-batch', { run_id: key, metrics: metrics.slice(at, at + MOST_VALUES) }, signal);
      }
    },

    async mark({ key }: OpenRun, { state, changed }, signal) {
      const tags = entriesOf(changed).map((each) => ({ ...each, key: `recipe.${each.key}` }));
      if (tags.length > 0)
        await post('runs/log-batch', { run_id: key, tags: tags.slice(0, MOST_PARAMS) }, signal);
      const status = STATES[state];
      const isOver = status !== 'RUNNING' && status !== 'SCHEDULED';
      await post('runs/update', { run_id: key, status, ...(isOver && { end_time: Date.now() }) }, signal);
    },
  };

  async function create({ name, started, id, tags }: TrackedRun, experiment_id: string, signal: AbortSignal) {
    const given = Object.entries({ ...tags, [ID_TAG]: id }).map(([key, value]) => ({ key, value }));
    const body = { experiment_id, run_name: name, start_time: started, tags: given };
    return runSchema.parse(await post('runs/create', body, signal)).run;
  }
}

const STATES: Readonly<Record<Status, string>> = {
  waiting: 'SCHEDULED',
  queued: 'SCHEDULED',
  running: 'RUNNING',
  restarting: 'RUNNING',
  done: 'FINISHED',
  failed: 'FAILED',
  lost: 'FAILED',
  stopped: 'KILLED',
};

const experimentSchema = z.object({ experiment: z.object({ experiment_id: z.string() }) });
const createdSchema = z.object({ experiment_id: z.string() });
const oneRun = z.object({ info: z.object({ run_id: z.string() }) });
const runSchema = z.object({ run: oneRun });
const foundSchema = z.object({ runs: z.array(oneRun).default([]) });

function isMissing({ status, content }: Answer): boolean {
  return status === 404 && Object(content).error_code === 'RESOURCE_DOES_NOT_EXIST';
}

function authorization(env: Credentials): Record<string, string> {
  const {
    MLFLOW_TRACKING_TOKEN: token,
    MLFLOW_TRACKING_USERNAME: user,
    MLFLOW_TRACKING_PASSWORD: word,
  } = env;
  if (user && word) return { authorization: `Basic ${Buffer.from(`${user}:${word}`).toString('base64')}` };
  return token ? { authorization: `Bearer ${token}` } : {};
}

function entriesOf(settings: TrackedRun['settings']): { readonly key: string; readonly value: string }[] {
  return Object.entries(settings).map(([key, value]) => ({ key, value: cut(String(value)) }));
}

function cut(text: string): string {
  return text.length <= MOST_LETTERS ? text : `${text.slice(0, MOST_LETTERS - 3)}...`;
}
