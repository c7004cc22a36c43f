import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

// The endpoints of MLflow's REST API that an upload needs. Requests are checked against the documented fields.

const tag = z.strictObject({ key: z.string().max(250), value: z.string().max(5000) });
const param = z.strictObject({ key: z.string().max(250), value: z.string().max(500) });
const metric = z.strictObject({
  key: z.string().regex(/^[\w\-. /]+$/),
  value: z.number(),
  timestamp: z.int().min(1e12),
  step: z.int(),
});
const REQUESTS = {
  'experiments/create': z.strictObject({ name: z.string() }),
  'runs/search': z.strictObject({
    experiment_ids: z.array(z.string()),
    filter: z.string(),
    max_results: z.int(),
  }),
  'runs/create': z.strictObject({
    experiment_id: z.string(),
    run_name: z.string(),
    start_time: z.int().min(1e12),
    tags: z.array(tag).max(20),
  }),
  'runs/log-batch': z.strictObject({
    run_id: z.string(),
    metrics: z.array(metric).max(1000).default([]),
    params: z.array(param).max(100).default([]),
    tags: z.array(tag).max(100).default([]),
  }),
  'runs/update': z.strictObject({
    run_id: z.string(),
    status: z.enum(['RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED']),
    end_time: z.int().optional(),
  }),
};

export interface FakeRun {
  readonly name: string;
  readonly experiment: string;
  status: string;
  readonly params: Map<string, string>;
  readonly tags: Map<string, string>;
  /** Every value that was added, also the same one twice. */
  readonly metrics: z.infer<typeof metric>[];
}

export interface FakeMlflow {
  readonly address: string;
  readonly runs: Map<string, FakeRun>;
  readonly requests: { path: string; authorization: string | undefined }[];
  readonly faults: {
    /** Answers this status instead. */
    status?: number;
    /** Executes the request, but closes the connection without an answer. */
    losesAnswers?: boolean;
    /** Never answers. */
    hangs?: boolean;
  };
  close(): void;
}

export async function startFakeMlflow(): Promise<FakeMlflow> {
  const experiments = new Map<string, string>();
  const runs = new Map<string, FakeRun>();
  const [requests, faults]: [FakeMlflow['requests'], FakeMlflow['faults']] = [[], {}];
  const runOf = (id: string): FakeRun => {
    const run = runs.get(id);
    if (run === undefined) throw new RangeError(`no run ${id}`);
    return run;
  };
  const oneRun = (id: string) => ({ info: { run_id: id }, data: {} });

  const handlers: Record<string, (body: unknown) => [status: number, content: unknown]> = {
    'experiments/create': (body) => {
      const { name } = REQUESTS['experiments/create'].parse(body);
      if (experiments.has(name)) return [400, { error_code: 'RESOURCE_ALREADY_EXISTS', message: 'exists' }];
      experiments.set(name, String(experiments.size + 1));
      return [200, { experiment_id: experiments.get(name) }];
    },
    'runs/search': (body) => {
      const { filter } = REQUESTS['runs/search'].parse(body);
      const [, key = '', value] = /^tags\.(\w+) = '([^']*)'$/.exec(filter) ?? [];
      const found = [...runs].filter(([, { tags }]) => tags.get(key) === value);
      return [200, found.length === 0 ? {} : { runs: found.map(([id]) => oneRun(id)) }];
    },
    'runs/create': (body) => {
      const { run_name: name, experiment_id, tags } = REQUESTS['runs/create'].parse(body);
      const id = `run-${runs.size}`;
      const [experiment = ''] = [...experiments].find(([, each]) => each === experiment_id) ?? [];
      const tagged = new Map(tags.map(({ key, value }) => [key, value]));
      runs.set(id, { name, experiment, status: 'RUNNING', params: new Map(), tags: tagged, metrics: [] });
      return [200, { run: oneRun(id) }];
    },
    'runs/log-batch': (body) => {
      const { run_id, metrics, params, tags } = REQUESTS['runs/log-batch'].parse(body);
      const run = runOf(run_id);
      const changed = params.find(({ key, value }) => (run.params.get(key) ?? value) !== value);
      if (changed !== undefined)
        return [400, { error_code: 'INVALID_PARAMETER_VALUE', message: changed.key }];
      for (const { key, value } of params) run.params.set(key, value);
      for (const { key, value } of tags) run.tags.set(key, value);
      run.metrics.push(...metrics);
      return [200, {}];
    },
    'runs/update': (body) => {
      const { run_id, status } = REQUESTS['runs/update'].parse(body);
      runOf(run_id).status = status;
      return [200, {}];
    },
  };

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const url = new URL(request.url ?? '', 'http://fake');
    const path = url.pathname.replace('/api/2.0/mlflow/', '');
    requests.push({ path, authorization: request.headers.authorization });
    const text = Buffer.concat(await request.toArray()).toString();
    if (faults.hangs) return;
    if (faults.status !== undefined) return json(response, faults.status, { message: 'fault' });
    const [status, content] = handle(path, url, text);
    if (faults.losesAnswers) request.socket.destroy();
    else json(response, status, content);
  };

  const handle = (path: string, url: URL, text: string): [number, unknown] => {
    if (path === 'experiments/get-by-name') {
      const id = experiments.get(url.searchParams.get('experiment_name') ?? '');
      if (id === undefined) return [404, { error_code: 'RESOURCE_DOES_NOT_EXIST', message: 'none' }];
      return [200, { experiment: { experiment_id: id } }];
    }
    try {
      return handlers[path]?.(JSON.parse(text)) ?? [404, { error_code: 'ENDPOINT_NOT_FOUND' }];
    } catch (error) {
      return [400, { error_code: 'INVALID_PARAMETER_VALUE', message: String(error) }];
    }
  };

  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    runs,
    requests,
    faults,
    close,
  };
}

function json(response: ServerResponse, status: number, content: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(content));
}
