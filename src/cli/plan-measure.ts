import { randomBytes } from 'node:crypto';
import type { Batch } from '../data/dataset.js';
import { assemble } from '../incubation/assemble.js';
import { optimizerOf, scheduleOf, taskOf } from '../incubation/phase/phase-recipe.js';
import { phaseOf } from '../incubation/phases.js';
import type { PhasePlan } from '../incubation/plan/plan.js';
import { blueprintOf } from '../incubation/recipe/recipe-model.js';
import type { Recipe } from '../incubation/recipe/recipe-schema.js';
import { resolveDevice, setThreads } from '../torch/engine.js';
import { Generator } from '../torch/random.js';
import { train } from '../training/trainer.js';

/** The first step warms up: it allocates memory, and picks kernels. */
const STEPS = 4;

/** Seconds of a step of each phase on this machine: the median of a few steps, on random images. */
export async function measure(recipe: Recipe, plans: readonly PhasePlan[]): Promise<Map<string, number>> {
  if (recipe.run.threads !== 'auto') setThreads(recipe.run.threads);
  const device = resolveDevice(recipe.run.device);
  const seconds = new Map<string, number>();
  for (const plan of plans) seconds.set(plan.phase, (await stepMilliseconds(recipe, plan, device)) / 1000);
  return seconds;
}

async function stepMilliseconds(recipe: Recipe, plan: PhasePlan, device: string): Promise<number> {
  const phase = phaseOf(recipe, plan.phase);
  const { settings } = phase;
  const generator = new Generator().seed([recipe.seed, 'measure', phase.name]);
  const stages = phase.depths.map(() => null);
  const { regimes } = phase;
  const context = { device, dtype: 'F32', generator } as const;
  const options = { regimes, dropPath: settings.drop_path };
  const model = assemble(blueprintOf(recipe), phase.depths, stages, context, options);
  const milliseconds: number[] = [];
  await train({
    model,
    task: taskOf(recipe, phase, device),
    optimizer: optimizerOf(phase, model),
    schedule: scheduleOf(phase, plan),
    batches: randomBatches(recipe, settings.batch_size, STEPS * settings.accumulate),
    fromStep: 0,
    steps: STEPS,
    accumulate: settings.accumulate,
    clipGrad: settings.clip_grad,
    precision: settings.precision,
    activationCheckpointing: settings.activation_checkpointing,
    device,
    generator,
    seed: recipe.seed,
    phase: phase.name,
    afterStep: (report) => {
      milliseconds.push(report.milliseconds);
    },
  });
  // The next phase needs the memory.
  for (const [, parameter] of model.namedParameters()) parameter.free();
  return milliseconds.slice(1).sort((a, b) => a - b)[(STEPS - 1) >> 1];
}

async function* randomBatches({ model }: Recipe, size: number, count: number): AsyncGenerator<Batch> {
  const { channels, classes, image_size: side } = model;
  const images = randomBytes(size * channels * side * side);
  const indices = Int32Array.from({ length: size }, (_, i) => i);
  const labels = indices.map((i) => i % classes);
  for (let i = 0; i < count; i++)
    yield { size, channels, height: side, width: side, images, labels, indices };
}
