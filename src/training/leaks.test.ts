import { setTimeout } from 'node:timers/promises';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { Batch } from '../data/dataset.js';
import { assemble } from '../method/assemble.js';
import { hybridRegimes } from '../method/hybrid.js';
import { vit } from '../models/vit/vit.js';
import { classification } from '../tasks/classification/classification.js';
import { ones } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { keep, liveHandles } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import { adamw } from './optimizers/adamw.js';
import { decayGroups } from './optimizers/optimizer.js';
import { train } from './trainer.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const [SIZE, BATCH] = [8, 16];
/** Allowed growth in bytes for 500 steps; for 250 steps, half of it. A leak of 6 KiB per step exceeds it. */
const GROWTH = 3 * 2 ** 20;

const blueprint = vit({
  imageSize: SIZE,
  patchSize: 4,
  channels: 1,
  classes: 4,
  width: 16,
  depth: 4,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
});

const batch: Batch = {
  size: BATCH,
  channels: 1,
  height: SIZE,
  width: SIZE,
  images: Uint8Array.from({ length: BATCH * SIZE * SIZE }, (_, i) => (37 * i) % 256),
  labels: Int32Array.from({ length: BATCH }, (_, i) => i % 4),
  indices: Int32Array.from({ length: BATCH }, (_, i) => i),
};

/** Resident bytes; of JavaScript's heap only the used part, because V8 grows and shrinks the rest at any time. */
function memory(): number {
  collect();
  // Not heapTotal, which includes pages that were reserved and never touched.
  const { total_physical_size, used_heap_size } = getHeapStatistics();
  return process.memoryUsage.rss() - total_physical_size + used_heap_size;
}

/** Handles and bytes after some of the steps of training a hybrid. */
async function measure(steps: number, at: readonly number[], alsoEachStep: () => void = () => {}) {
  // Frees earlier garbage, so that it is not freed during the measurement.
  collect();
  await setTimeout(10);
  const generator = new Generator().seed(['leaks']);
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const model = assemble(blueprint, [1, 2, 1], [null, null, null], context, {
    regimes: hybridRegimes(3, 1),
    dropPath: 0.2,
  });
  const measured: { handles: number; bytes: number }[] = [];
  await train({
    model,
    task: classification({
      channels: 1,
      classes: 4,
      mean: [0.5],
      std: [0.5],
      labelSmoothing: 0.1,
      device: 'cpu',
    }),
    optimizer: adamw(decayGroups(model.trainedParameters(), 0.05, [])),
    schedule: () => 1e-3,
    batches: (async function* () {
      while (true) yield batch;
    })(),
    fromStep: 0,
    steps,
    accumulate: 1,
    clipGrad: 1,
    precision: 'float32',
    device: 'cpu',
    generator,
    seed: 0,
    phase: 'MT/1',
    afterStep: ({ step }) => {
      alsoEachStep();
      if (!at.includes(step)) return;
      measured.push({ handles: liveHandles(), bytes: memory() });
    },
  });
  return measured;
}

test('1,000 training steps neither leak handles nor grow memory', async () => {
  const [first, ...later] = await measure(1000, [10, 250, 500, 750, 1000]);
  for (const { handles } of later) expect(handles).toBe(first.handles);
  // A leak grows in every interval; a single allocation of V8 or malloc, in only one.
  const growths = later.slice(1).map(({ bytes }, i) => bytes - later[i].bytes);
  expect(Math.min(...growths)).toBeLessThan(GROWTH / 2);
});

test('and a leak of 32 KiB in each step is detected', async () => {
  const leaked: Tensor[] = [];
  const [first, last] = await measure(300, [10, 300], () => leaked.push(keep(ones([8192]))));
  expect(last.handles - first.handles).toBe(290);
  expect(last.bytes - first.bytes).toBeGreaterThan(GROWTH);
});
