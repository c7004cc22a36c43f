import { mkdirSync } from 'node:fs';
import { withFileErrors } from '../checkpoint/file-errors.js';
import { lockFolder } from '../checkpoint/folder-lock.js';
import type { PhaseResult } from '../checkpoint/records.js';
import { runFolder, writeResult } from '../checkpoint/run-folder.js';
import { trainBatches } from '../data/loader.js';
import { peakMemory } from '../torch/engine.js';
import { Generator } from '../torch/random.js';
import { train } from '../training/trainer.js';
import { openImages } from './images.js';
import { findCheckpoint, resume } from './phase-checkpoint.js';
import { openLog } from './phase-log.js';
import { phaseModel } from './phase-model.js';
import { createObserver, type PhaseParts } from './phase-observer.js';
import { optimizerOf, scheduleOf, taskOf } from './phase-recipe.js';
import { needsOf, type PhaseName, phaseOf } from './phases.js';
import { phasePlan } from './plan.js';
import type { Recipe } from './recipe-schema.js';

export interface PhaseRun {
  readonly recipe: Recipe;
  readonly phase: PhaseName;
  readonly runDir: string;
  readonly device: string;
  /** Once aborted, the phase saves a checkpoint after its step and throws `Interrupted`. */
  readonly signal?: AbortSignal;
}

/**
 * Trains one phase in this process, from its last checkpoint if it has one, and leaves its metrics, log,
 * checkpoints and result in the run folder.
 */
export async function runPhase(run: PhaseRun): Promise<PhaseResult> {
  const { root } = runFolder(run.runDir).phase(run.phase);
  withFileErrors(root, () => mkdirSync(root, { recursive: true }));
  // A process whose supervisor was killed ends after its step.
  const lock = await lockFolder(root, ORPHAN_MS);
  return trainPhase(run).finally(lock.release);
}

const ORPHAN_MS = 60_000;

async function trainPhase(run: PhaseRun): Promise<PhaseResult> {
  const { recipe, runDir, device } = run;
  const phase = phaseOf(recipe, run.phase);
  const folder = runFolder(runDir).phase(phase.name);
  const log = openLog(folder.log);

  // What is trained, on what, and how far it is.
  const images = openImages(recipe);
  const plan = phasePlan(recipe, images.train.length, phase.name);
  const checkpoint = findCheckpoint(folder.root, log);
  const model = await phaseModel(recipe, phase, { runDir, checkpoint }, device);
  const optimizer = optimizerOf(phase, model);
  const start = resume(checkpoint, optimizer);
  const task = taskOf(recipe, phase, device);
  const generator = new Generator();
  const parts = { recipe, phase, plan, folder, log, images, model, optimizer, task, generator, device };
  const observer = createObserver({ ...parts, signal: run.signal }, start);
  log(`${start.step === 0 ? 'starts' : `goes on from step ${start.step}`}: ${plan.steps} steps on ${device}`);

  // An assembled model is judged before it is tuned.
  const isAssembled = needsOf(phase).length > 1;
  if (start.step === 0 && isAssembled) await observer.judge(0);

  await train({
    ...parts,
    phase: phase.name,
    schedule: scheduleOf(phase, plan),
    batches: batchesOf(parts, start.step),
    fromStep: start.step,
    steps: plan.steps,
    accumulate: phase.settings.accumulate,
    clipGrad: phase.settings.clip_grad,
    precision: phase.settings.precision,
    seed: recipe.seed,
    afterStep: observer.afterStep,
  });

  const { seconds, last } = observer.standing;
  const { top1, top5, loss } = last ?? (await observer.judge(plan.steps));
  const { steps, images: seen, block_passes, macs, parameters, trained_parameters } = plan;
  const cost = { steps, images: seen, block_passes, macs, seconds, memory_bytes: peakMemory(device) };
  const result = { phase: phase.name, ...cost, top1, top5, loss, parameters, trained_parameters };
  writeResult(runDir, result);
  log(`done: top-1 ${top1.toFixed(2)} % after ${seconds.toFixed(1)} s of training`);
  return result;
}

function batchesOf({ recipe, phase, plan, images }: Omit<PhaseParts, 'signal'>, fromStep: number) {
  const { batch_size: batchSize, accumulate } = phase.settings;
  return trainBatches({
    dataset: images.train,
    batchSize,
    accumulate,
    transform: images.trainTransform,
    seed: recipe.seed,
    phase: phase.name,
    fromStep: fromStep * accumulate,
    steps: plan.steps * accumulate,
    shuffle: recipe.data.shuffle,
  });
}
