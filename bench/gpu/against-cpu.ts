import type { Batch, Mix } from '../../src/data/dataset.js';
import { assemble } from '../../src/method/assemble.js';
import { hybridRegimes } from '../../src/method/hybrid.js';
import type { StagedModel } from '../../src/models/staged.js';
import { vit } from '../../src/models/vit/vit.js';
import { weightsOf } from '../../src/nn/weights.js';
import { classification } from '../../src/tasks/classification/classification.js';
import { distillation } from '../../src/tasks/distillation.js';
import type { Precision } from '../../src/torch/precision.js';
import { Generator } from '../../src/torch/random.js';
import { ema } from '../../src/training/ema.js';
import { type Evaluation, evaluate } from '../../src/training/evaluate.js';
import { adamw } from '../../src/training/optimizers/adamw.js';
import { lamb } from '../../src/training/optimizers/lamb.js';
import { lion } from '../../src/training/optimizers/lion.js';
import { muon } from '../../src/training/optimizers/muon.js';
import { decayGroups, type ParameterGroup } from '../../src/training/optimizers/optimizer.js';
import { sgd } from '../../src/training/optimizers/sgd.js';
import { train } from '../../src/training/trainer.js';
import { apart, largest, relative } from './compare.js';
import { configOf, MEAN, SMALL, STD } from './models.js';
import { check } from './report.js';
import { settings } from './settings.js';

const SECTION = 'correct';
const STEPS = settings.isTiny ? 2 : 3;
const DEPTHS = [1, 1, 1, 1];
const SIZE = 8;
const SIDE = SMALL.imageSize;
const OPTIMIZERS = {
  adamw,
  sgd,
  lamb,
  lion,
  // In bfloat16, Newton-Schulz steps differ by its rounding.
  muon: (groups: readonly ParameterGroup[]) =>
    muon(groups, { precision: 'float32', adjustLr: 'match_rms_adamw' }),
};
const BOX = { left: 2, top: 3, width: 8, height: 9 };
const ERASED = [
  { slot: 0, left: 1, top: 1, width: 4, height: 5 },
  { slot: 2, left: 3, top: 2, width: 6, height: 5 },
];

interface Setup {
  readonly optimizer?: keyof typeof OPTIMIZERS;
  readonly precision?: Precision;
  readonly accumulate?: number;
  readonly clipGrad?: number;
  readonly dropPath?: number;
  readonly activationCheckpointing?: boolean;
  readonly isHybrid?: boolean;
  readonly distill?: 'soft' | 'hard';
  readonly mix?: Mix;
  readonly isErased?: boolean;
}

const SETUPS: Record<string, Setup> = {
  adamw: {},
  sgd: { optimizer: 'sgd' },
  lamb: { optimizer: 'lamb' },
  lion: { optimizer: 'lion' },
  muon: { optimizer: 'muon' },
  clipped: { clipGrad: 0.5 },
  accumulated: { accumulate: 2 },
  'drop path': { dropPath: 0.3 },
  mixup: { mix: { lambda: 0.7 } },
  cutmix: { mix: { lambda: 0.8, box: BOX } },
  erasing: { isErased: true },
  'mixup and erasing': { mix: { lambda: 0.7 }, isErased: true },
  'activation checkpointing': { activationCheckpointing: true },
  hybrid: { isHybrid: true },
  'soft distillation': { distill: 'soft' },
  'hard distillation': { distill: 'hard' },
  tf32: { precision: 'tf32' },
  bfloat16: { precision: 'bfloat16' },
  'bfloat16, all at once': {
    precision: 'bfloat16',
    activationCheckpointing: true,
    mix: { lambda: 0.7 },
    isErased: true,
    dropPath: 0.3,
    clipGrad: 1,
  },
};

/** Compares three steps and an evaluation of averaged weights on this device with the CPU: losses, norms, scores and weights. */
export async function againstCpu(): Promise<void> {
  for (const [name, setup] of Object.entries(SETUPS)) {
    await check({ section: SECTION, check: `as on the CPU: ${name}`, limit: limitOf(setup) }, async () => {
      const cpu = await run('cpu', setup);
      const here = await run(settings.device, setup);
      return {
        value: relative(here.losses, cpu.losses),
        norms: relative(here.norms, cpu.norms),
        evaluation: relative(scores(here.evaluation), scores(cpu.evaluation)),
        weights: largest(here.weights.map((values, i) => apart(values, cpu.weights[i]))),
      };
    });
  }
}

/** Lion uses only the sign of a gradient, which rounding may flip if the gradient is almost 0. */
function limitOf({ precision, optimizer }: Setup): number {
  if (precision === 'bfloat16') return 3e-2;
  // TF32 rounds factors to 10 bits.
  if (precision === 'tf32') return 1e-2;
  return optimizer === 'lion' ? 1e-3 : 1e-4;
}

/** Adds 1 to percentages, because a percentage of 0 has no ratio. */
const scores = ({ loss, top1, top5 }: Evaluation) => [loss, 1 + top1, 1 + top5];

async function run(device: string, setup: Setup) {
  const { optimizer = 'adamw', precision = 'float32', accumulate = 1 } = setup;
  const model = modelOf(device, setup, 0);
  const parameters = model.trainedParameters();
  const task = taskOf(device, setup);
  const averages = ema(parameters, { decay: 0.9 });
  const losses: number[] = [];
  const norms: number[] = [];
  await train({
    model,
    task,
    optimizer: OPTIMIZERS[optimizer](decayGroups(parameters, 0.05)),
    schedule: () => 1e-3,
    batches: batches(STEPS * accumulate, setup),
    steps: STEPS,
    accumulate,
    clipGrad: setup.clipGrad ?? null,
    precision,
    device,
    activationCheckpointing: setup.activationCheckpointing ?? false,
    seed: 0,
    phase: 'kit',
    afterStep({ loss, gradNorm }) {
      losses.push(loss);
      norms.push(gradNorm);
      averages.update();
    },
  });
  const evaluation = await averages.swapped(() =>
    evaluate({ model, task, batches: batches(2, {}), precision, device }),
  );
  const weights = [...weightsOf(model).values()].map(({ data }) => new Float32Array(data.slice().buffer));
  return { losses, norms, evaluation, weights };
}

function modelOf(device: string, { dropPath = 0, isHybrid = false }: Setup, seed: number): StagedModel {
  const context = { device, dtype: 'F32', generator: new Generator().seed([seed, 'init']) } as const;
  const regimes = isHybrid ? { regimes: hybridRegimes(DEPTHS.length, 1), dropPath } : { dropPath };
  return assemble(vit(configOf(SMALL, DEPTHS)), DEPTHS, null, context, regimes);
}

function taskOf(device: string, setup: Setup) {
  const plain = classification({
    channels: 3,
    classes: 10,
    mean: MEAN,
    std: STD,
    labelSmoothing: 0.1,
    device,
  });
  if (setup.distill === undefined) return plain;
  return distillation(plain, { teacher: modelOf(device, {}, 1), kind: setup.distill, alpha: 0.5, tau: 2 });
}

async function* batches(count: number, { mix, isErased }: Setup): AsyncGenerator<Batch> {
  for (let i = 0; i < count; i++) {
    const indices = Int32Array.from({ length: SIZE }, (_, slot) => slot);
    const plain: Batch = {
      size: SIZE,
      channels: 3,
      height: SIDE,
      width: SIDE,
      images: new Uint8Array(SIZE * 3 * SIDE * SIDE).map((_, j) => (j * 7 + i * 13 + (j >> 5)) % 256),
      labels: indices.map((slot) => (slot + i) % 10),
      indices,
    };
    yield { ...plain, mix, ...(isErased ? { erased: ERASED, noiseKey: [0, 'noise', i] } : {}) };
  }
}
