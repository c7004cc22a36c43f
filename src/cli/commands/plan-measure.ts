import { randomBytes } from 'node:crypto';
import { elementCount } from '../../base/tensor-data.js';
import type { Batch, Shrink } from '../../data/dataset.js';
import { assemble } from '../../method/assemble.js';
import type { StagedModel } from '../../models/staged.js';
import { phaseHeads } from '../../phase/phase-model.js';
import { localObjective, type Objective } from '../../phase/phase-objective.js';
import { optimizerOf, scheduleOf } from '../../phase/phase-optimizer.js';
import type { PhasePlan } from '../../plan/plan.js';
import type { StepTimes } from '../../plan/plan-devices.js';
import type { Phase } from '../../recipe/phase.js';
import type { RunSettings } from '../../recipe/recipe-run.js';
import { openDevice, setThreads } from '../../torch/engine.js';
import { type Precision, precisionOn } from '../../torch/precision.js';
import { Generator } from '../../torch/random.js';
import type { Tensor } from '../../torch/tensor.js';
import type { Optimizer } from '../../training/optimizers/optimizer.js';
import { train } from '../../training/trainer.js';

/** The first step is a warm-up: it allocates memory and selects kernels. */
const STEPS = 6;

/**
 * Measures the step times of each phase on this machine with a few steps on random images: medians, and the extra time of the
 * first step.
 * @param plans of the phases, in the same order
 */
export async function measure(
  run: Pick<RunSettings, 'threads' | 'device'>,
  phases: readonly Phase[],
  plans: readonly PhasePlan[],
): Promise<Map<string, StepTimes>> {
  if (run.threads !== 'auto') setThreads(run.threads);
  const device = openDevice(run.device);
  const seconds = new Map<string, StepTimes>();
  for (const [i, plan] of plans.entries()) seconds.set(plan.phase, await timesOf(phases[i], plan, device));
  // Here the first phase pays the start-up cost for all; in a run, every phase has its own process and pays it.
  const start = Math.max(...[...seconds.values()].map((times) => times.start));
  return new Map([...seconds].map(([phase, times]) => [phase, { ...times, start }]));
}

async function timesOf(phase: Phase, plan: PhasePlan, device: string): Promise<StepTimes> {
  const { settings } = phase;
  const generator = new Generator().seed([phase.seed, 'measure', phase.name]);
  const stages = phase.depths.map(() => null);
  const { regimes } = phase;
  const context = { device, dtype: 'F32', generator } as const;
  const options = {
    regimes,
    dropPath: settings.drop_path,
    dropPathSchedule: settings.drop_path_schedule,
    target: phase.target,
  };
  const model = assemble(phase.blueprint, phase.depths, stages, context, options);
  const precision = precisionOn(device, settings.precision);
  const heads = phaseHeads(phase, device);
  const exact = { ...phase, settings: { ...settings, precision } };
  const optimizer = optimizerOf(exact, { model, auxiliary: heads });
  const own = { model, task: phase.task(device) };
  const objective: Objective =
    heads === undefined ? own : localObjective(phase, { model, heads, task: own.task });
  const made = { phase, plan, device, model, objective, optimizer, generator, precision };
  const sizes = sizesOf(phase, plan);
  const times: StepTimes[] = [];
  for (const { shrink } of sizes) times.push(await timesAt(made, shrink));
  // The next phase needs the memory.
  optimizer.free();
  heads?.free();
  model.free();
  const mean = (key: 'step' | 'update') =>
    sizes.reduce((sum, { share }, i) => sum + share * times[i][key], 0);
  return { step: mean('step'), update: mean('update'), start: times[0].start };
}

interface ImagesOfSize {
  /** Undefined: the size of the model. */
  readonly shrink: Shrink | undefined;
  /** Share of the phase's steps that have them. */
  readonly share: number;
}

function sizesOf({ blueprint }: Phase, { curriculum, steps }: PhasePlan): ImagesOfSize[] {
  const sizes = new Map<string, ImagesOfSize>();
  for (const stage of curriculum ?? [{ image_size: blueprint.input.size, low_pass: false, steps }]) {
    const { image_size: size, low_pass: lowPass } = stage;
    const shrink = size < blueprint.input.size ? { size, lowPass } : undefined;
    const key = JSON.stringify(shrink ?? null);
    const share = (sizes.get(key)?.share ?? 0) + stage.steps / steps;
    sizes.set(key, { shrink, share });
  }
  return [...sizes.values()];
}

interface Measured {
  readonly phase: Phase;
  readonly plan: PhasePlan;
  readonly device: string;
  readonly precision: Precision;
  readonly model: StagedModel;
  readonly objective: Objective;
  readonly optimizer: Optimizer;
  readonly generator: Generator;
}

/** The step times for images of one size. */
async function timesAt(
  { phase, plan, device, precision, model, objective, optimizer, generator }: Measured,
  shrink: Shrink | undefined,
): Promise<StepTimes> {
  const { settings } = phase;
  const milliseconds: number[] = [];
  const updates: number[] = [];
  await train<unknown>({
    model: objective.model,
    task: objective.task,
    // Without skipping, each step is complete before its update, which is timed separately.
    optimizer: {
      ...optimizer,
      canSkip: false,
      step: (lr) => updates.push(timeOf(() => optimizer.step(lr), model)),
    },
    schedule: scheduleOf(phase, plan),
    batches: randomBatches(phase, settings.batch_size, STEPS * settings.accumulate, shrink),
    fromStep: 0,
    steps: STEPS,
    accumulate: settings.accumulate,
    clipGrad: settings.clip_grad,
    precision,
    activationCheckpointing: settings.activation_checkpointing,
    device,
    generator,
    seed: phase.seed,
    phase: phase.name,
    afterStep: (report) => {
      milliseconds.push(report.milliseconds);
    },
  });
  const [step, update] = [milliseconds, updates].map((each) => median(each.slice(1)) / 1000);
  return { step, update, start: Math.max(0, milliseconds[0] / 1000 - step) };
}

/** Milliseconds until the device has finished the work. */
function timeOf(work: () => void, model: { trainedParameters(): (readonly [string, Tensor])[] }): number {
  const started = performance.now();
  work();
  const parameters = model.trainedParameters().map(([, parameter]) => parameter);
  const [smallest] = parameters.sort((a, b) => elementCount(a.shape) - elementCount(b.shape));
  smallest.toData();
  return performance.now() - started;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}

async function* randomBatches(
  { model, taskKind: { annotations } }: Phase,
  size: number,
  count: number,
  shrink: Shrink | undefined,
): AsyncGenerator<Batch> {
  const { channels, classes, image_size: side } = model;
  const images = randomBytes(size * channels * side * side);
  const indices = Int32Array.from({ length: size }, (_, i) => i);
  const labels = indices.map((i) => i % classes);
  const annotated = annotations?.random?.({ size, side, classes }, randomBytes);
  for (let i = 0; i < count; i++)
    yield {
      size,
      channels,
      height: side,
      width: side,
      images,
      labels,
      indices,
      ...annotated,
      ...(shrink && { shrink }),
    };
}
