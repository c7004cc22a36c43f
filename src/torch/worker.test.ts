import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { backward, clearGrads, noGrad } from './autograd.js';
import { matmul, mul, ones, sum } from './ops.js';
import { liveHandles, scope } from './scope.js';
import type { Tensor } from './tensor.js';

const script = new URL('../../test/fixtures/worker-thread.mjs', import.meta.url);
/** Each of the worker's 50 steps halves them. */
const weights = Array.from({ length: 64 }, () => 2 ** -50);

/** Work of the main thread: forward and backward passes while `go` returns true. */
async function workUntil(stopped: () => boolean): Promise<number> {
  const weight = ones([64, 64]);
  weight.requiresGrad = true;
  let steps = 0;
  while (!stopped()) {
    scope(() => backward(sum(mul(matmul(ones([64, 64]), weight), 2))));
    expect(scope(() => (weight.grad as Tensor).toFloat32Array()[0])).toBe(128);
    clearGrads([weight]);
    expect(noGrad(() => scope(() => mul(weight, 1).requiresGrad))).toBe(false);
    steps += 1;
    await new Promise(setImmediate);
  }
  weight.free();
  return steps;
}

test('workers and the main thread train in parallel, each with its own handles', async () => {
  const before = liveHandles();
  const workers = Array.from({ length: 2 }, () => new Worker(script));
  let running = workers.length;
  const results = workers.map(async (worker) => {
    const exit = once(worker, 'exit');
    const [message] = await once(worker, 'message');
    const [code] = await exit;
    running -= 1;
    return { ...message, code };
  });
  expect(await workUntil(() => running === 0)).toBeGreaterThan(0);
  for (const result of await Promise.all(results)) {
    expect(result).toEqual({ handlesAtStart: 0, handles: 3, weights, code: 0 });
  }
  expect(liveHandles()).toBe(before);
});

test('a worker that is terminated does not affect others', async () => {
  const worker = new Worker(script);
  await once(worker, 'online');
  await worker.terminate();
  expect(scope(() => sum(ones([3])).item())).toBe(3);
});

test('a process in which only a worker loads the addon exits cleanly', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(script)], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual({ handlesAtStart: 0, handles: 3, weights });
  expect(status).toBe(0);
});
