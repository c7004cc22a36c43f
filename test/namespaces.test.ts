import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readResult } from '../src/run/run-folder.js';
import { type Ended, jsonLines, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';
import { needs, networkNamespaces } from './needs.js';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const HOSTS = ['a', 'b'].map((name) => `di-${name}-${process.pid}`);
const ADDRESSES = ['10.213.0.1', '10.213.0.2'];
const LINK = 'di0';

const ip = (...args: readonly string[]) => spawnSync('ip', args, { encoding: 'utf8' });

describe('two hosts, one disk', needs(networkNamespaces()), () => {
  const folder = temporaryFolder();
  const [recipe, run, cut] = ['recipe.json', 'run', 'cut'].map((name) => join(folder, name));

  beforeAll(async () => {
    for (const host of HOSTS) must('netns', 'add', host);
    must('link', 'add', LINK, 'netns', HOSTS[0], 'type', 'veth', 'peer', 'name', LINK, 'netns', HOSTS[1]);
    for (const [i, host] of HOSTS.entries()) {
      must('-n', host, 'address', 'add', `${ADDRESSES[i]}/24`, 'dev', LINK);
      must('-n', host, 'link', 'set', 'lo', 'up');
    }
    connect();
    await writeImages(join(folder, 'images'), { train: 16, val: 5 });
    const tiny = tinyRecipe(join(folder, 'images')) as { training: object };
    const training = {
      ...tiny.training,
      batch_size: 4,
      total_batch: 8,
      checkpoint_every: 0.05,
      eval_every: 50,
    };
    writeFileSync(
      recipe,
      JSON.stringify({ ...tiny, training, phases: { PT: { epochs: 100 }, E2E: 'none' } }),
    );
  });
  afterAll(() => {
    for (const host of HOSTS) ip('netns', 'del', host);
  });

  test('PT on both machines, then a module on each without a link, then FT', async () => {
    const pretraining = together('PT', run);
    for (const { code, stderr } of await Promise.all(pretraining.ended))
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(readFileSync(join(run, 'PT/log.txt'), 'utf8')).toContain('2 processes');

    disconnect();
    const modules = HOSTS.map((host, i) => onHost(host, ['phase', run, `MT/${i}`]).ended);
    for (const ended of await Promise.all(modules)) expect(ended).toMatchObject({ code: 0, stderr: '' });
    connect();
    for (const { code } of await Promise.all(together('FT', run).ended)) expect(code).toBe(0);
    expect(readResult(run, 'FT')?.steps).toBeGreaterThan(0);
  });

  test('one is cut off during a run: both end with a message, and resume once the link is back', async () => {
    const metrics = join(cut, 'PT/metrics.jsonl');
    const first = together('PT', cut, { DEEP_INCUBATION_RANK_TIMEOUT: '20' });
    await until(() => Number(jsonLines(metrics).at(-1)?.step ?? 0) >= 40, 'step 40');
    disconnect();
    for (const [rank, { code, stderr }] of (await Promise.all(first.ended)).entries()) {
      expect(code).toBe(1);
      expect(stderr).toMatch(new RegExp(`rank ${rank} of 2`));
      expect(stderr).toContain('start all 2 again to resume from the last checkpoint');
    }
    expect(readResult(cut, 'PT')).toBeUndefined();

    connect();
    for (const { code } of await Promise.all(together('PT', cut).ended)) expect(code).toBe(0);
    expect(readFileSync(join(cut, 'PT/log.txt'), 'utf8')).toMatch(/resumes from step \d+/);
    const result = readResult(cut, 'PT');
    expect(result?.steps).toBe(400);
    expect(jsonLines(metrics).at(-1)?.step).toBe(400);
  });

  /** Starts a phase as a launcher would, with one rank per host. */
  function together(phase: string, out: string, more: NodeJS.ProcessEnv = {}) {
    const args = phase === 'PT' ? ['phase', recipe, phase, '--out', out] : ['phase', out, phase];
    const started = HOSTS.map((host, rank) =>
      onHost(host, args, {
        MASTER_ADDR: ADDRESSES[0],
        WORLD_SIZE: '2',
        RANK: String(rank),
        LOCAL_RANK: '0',
        GLOO_SOCKET_IFNAME: LINK,
        ...more,
      }),
    );
    return { ended: started.map(({ ended }) => ended) };
  }
});

function connect(): void {
  for (const host of HOSTS) must('-n', host, 'link', 'set', LINK, 'up');
}

function disconnect(): void {
  must('-n', HOSTS[1], 'link', 'set', LINK, 'down');
}

function must(...args: readonly string[]): void {
  const { status, stderr } = ip(...args);
  if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
}

function onHost(host: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn('ip', ['netns', 'exec', host, process.execPath, MAIN, ...args], {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk: Buffer) => {
      output[name] += chunk.toString();
    });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...output }));
  });
  return { ended };
}
