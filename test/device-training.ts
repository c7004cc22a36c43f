import type { Batch } from '../src/data/dataset.js';
import { assemble } from '../src/method/assemble.js';
import { hybridRegimes } from '../src/method/hybrid.js';
import { vit } from '../src/models/vit/vit.js';
import { classification } from '../src/tasks/classification/classification.js';
import { Generator } from '../src/torch/random.js';
import { adamw } from '../src/training/optimizers/adamw.js';
import { decayGroups, type Optimizer } from '../src/training/optimizers/optimizer.js';
import type { Task } from '../src/training/task.js';
import { type TrainOptions, train } from '../src/training/trainer.js';

// Steps of a small model on a device that is not the CPU.

const [SIZE, CLASSES] = [16, 10];
/** Images of a batch. */
export const BATCH = 8;
const GEOMETRY = {
  imageSize: SIZE,
  patchSize: 4,
  channels: 3,
  classes: CLASSES,
  width: 16,
  heads: 2,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
};

/** A batch with everything that augmentation adds: boxes to erase, and mixup or cutmix in turn. */
export function batchOf(step: number): Batch {
  const bytes = BATCH * 3 * SIZE * SIZE;
  const box = { left: 2, top: 3, width: 5 + (step % 3), height: 6 };
  return {
    size: BATCH,
    channels: 3,
    height: SIZE,
    width: SIZE,
    images: Uint8Array.from({ length: bytes }, (_, i) => (37 * i + 101 * step) % 256),
    labels: Int32Array.from({ length: BATCH }, (_, i) => (i + step) % CLASSES),
    indices: Int32Array.from({ length: BATCH }, (_, i) => i + BATCH * step),
    erased: [{ ...box, slot: step % BATCH }],
    noiseKey: [0, 'noise', step],
    mix: step % 2 === 0 ? { lambda: 0.3 } : { lambda: 0.7, box },
  };
}

async function* batches(poisoned: number | undefined): AsyncIterable<Batch> {
  for (let micro = 0; ; micro++) {
    yield micro === poisoned ? { ...batchOf(micro), mix: { lambda: Number.NaN } } : batchOf(micro);
  }
}

export interface Case extends Partial<TrainOptions> {
  readonly device: string;
  readonly steps: number;
  readonly isHybrid?: boolean;
  readonly optimizerOf?: (groups: ReturnType<typeof decayGroups>) => Optimizer;
  /** Index of the micro-batch whose loss is not finite. */
  readonly poisoned?: number;
  /** Number of blocks in each stage. */
  readonly depths?: readonly number[];
  readonly taskOf?: <T>(task: Task<T>) => Task<T>;
}

export async function trained({
  device,
  steps,
  isHybrid,
  optimizerOf = adamw,
  poisoned,
  depths = [1, 2, 1],
  taskOf = (task) => task,
  ...options
}: Case) {
  const context = { device, dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
  const depth = depths.reduce((a, b) => a + b);
  const model = assemble(vit({ ...GEOMETRY, depth }), depths, null, context, {
    dropPath: 0.2,
    ...(isHybrid && { regimes: hybridRegimes(3, 1) }),
  });
  const weights = () => model.trainedParameters().map(([, parameter]) => parameter.toData().data);
  const images = { channels: 3, mean: [0.5, 0.4, 0.3], std: [0.2, 0.3, 0.4] };
  const task = taskOf(classification({ ...images, classes: CLASSES, labelSmoothing: 0.1, device }));
  const options_ = { device, steps, seed: 0, phase: 'PT', batches: batches(poisoned), ...options };
  const optimizer = optimizerOf(decayGroups(model.trainedParameters(), 0.05));
  const running = train({ model, task, optimizer, schedule: () => 1e-3, ...options_ });
  return { model, task, weights, optimizer, running };
}

/** Counts of device operations that block the host. */
export function waits(counts: Record<string, number>) {
  const of = (beginning: string) =>
    Object.entries(counts)
      .filter(([what]) => what.startsWith(beginning))
      .reduce((sum, [, times]) => sum + times, 0);
  return { blocking: of('blocking copy'), reads: of('scalar read') };
}
