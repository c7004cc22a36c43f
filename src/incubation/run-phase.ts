import { mkdirSync } from 'node:fs';
import { withFileErrors } from '../checkpoint/file-errors.js';
import { openMetricsLog } from '../checkpoint/metrics-log.js';
import type { EvalRecord, PhaseResult } from '../checkpoint/records.js';
import { runFolder, writeResult } from '../checkpoint/run-folder.js';
import { evalBatches, trainBatches } from '../data/loader.js';
import { peakMemory } from '../torch/engine.js';
import { Generator } from '../torch/random.js';
import { evaluate } from '../training/evaluate.js';
import { type StepReport, train } from '../training/trainer.js';
import { openImages } from './images.js';
import { Interrupted } from './interrupted.js';
import { createMeter, epochOf } from './meter.js';
import { findCheckpoint, resume, save } from './phase-checkpoint.js';
import { openLog } from './phase-log.js';
import { phaseModel } from './phase-model.js';
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
export async function runPhase({
  recipe,
  phase: name,
  runDir,
  device,
  signal,
}: PhaseRun): Promise<PhaseResult> {
  const phase = phaseOf(recipe, name);
  const { settings } = phase;
  const folder = runFolder(runDir).phase(name);
  withFileErrors(folder.root, () => mkdirSync(folder.root, { recursive: true }));
  const log = openLog(folder.log);

  // What is trained, on what, and how far it is.
  const images = openImages(recipe);
  const plan = phasePlan(recipe, images.train.length, name);
  const checkpoint = findCheckpoint(folder.root, log);
  const model = await phaseModel(recipe, phase, { runDir, checkpoint }, device);
  const optimizer = optimizerOf(phase, model);
  const task = taskOf(recipe, phase, device);
  const generator = new Generator();
  let standing = resume(checkpoint, optimizer);
  const fromStep = standing.step;
  const metrics = openMetricsLog(folder.metrics, { fromStep });
  const meter = createMeter(plan, device, standing.seconds);
  log(`${fromStep === 0 ? 'starts' : `goes on from step ${fromStep}`}: ${plan.steps} steps on ${device}`);

  const judge = async (step: number): Promise<EvalRecord> => {
    const { precision, batch_size: batchSize } = settings;
    const batches = evalBatches({ dataset: images.val, batchSize, transform: images.evalTransform });
    const scores = await evaluate({ model, task, batches, precision, device, generator });
    const cost = { block_passes: (plan.block_passes / plan.steps) * step, seconds: meter.seconds };
    const last: EvalRecord = {
      kind: 'eval',
      phase: name,
      epoch: epochOf(plan, step),
      step,
      ...scores,
      ...cost,
    };
    metrics.append(last);
    log(`step ${step}: top-1 ${scores.top1.toFixed(2)} %, loss ${scores.loss.toFixed(4)}`);
    standing = { ...standing, last };
    return last;
  };

  const evalSteps = Math.max(1, Math.round(settings.eval_every * plan.steps_per_epoch));
  let savedAt = performance.now();
  const afterStep = async (report: StepReport): Promise<void> => {
    const { step } = report;
    const isLast = step === plan.steps;
    const record = meter.record(report);
    standing = { ...standing, step, seconds: meter.seconds };
    if (step === 1 || isLast || step % settings.log_every === 0) {
      metrics.append(record);
      meter.lap();
    }
    const isJudged = isLast || step % evalSteps === 0;
    if (isJudged) await judge(step);
    const isStopping = signal?.aborted ?? false;
    if (isJudged || isStopping || performance.now() - savedAt > 1000 * settings.checkpoint_every) {
      standing = save(folder.root, { recipe, phase, model, optimizer }, standing);
      savedAt = performance.now();
    }
    if (isStopping && !isLast)
      throw new Interrupted(`${name} was interrupted at step ${step} of ${plan.steps}`);
  };

  // An assembled model is judged before it is tuned.
  const isAssembled = needsOf(phase).length > 1;
  if (fromStep === 0 && isAssembled) await judge(0);

  await train({
    model,
    task,
    optimizer,
    schedule: scheduleOf(phase, plan),
    batches: trainBatches({
      dataset: images.train,
      batchSize: settings.batch_size,
      accumulate: settings.accumulate,
      transform: images.trainTransform,
      seed: recipe.seed,
      phase: name,
      fromStep: fromStep * settings.accumulate,
      steps: plan.steps * settings.accumulate,
      shuffle: recipe.data.shuffle,
    }),
    fromStep,
    steps: plan.steps,
    accumulate: settings.accumulate,
    clipGrad: settings.clip_grad,
    precision: settings.precision,
    device,
    generator,
    seed: recipe.seed,
    phase: name,
    afterStep,
  });

  const { top1, top5, loss } = standing.last ?? (await judge(plan.steps));
  const { steps, images: seen, block_passes, macs, parameters, trained_parameters } = plan;
  const cost = {
    steps,
    images: seen,
    block_passes,
    macs,
    seconds: meter.seconds,
    memory_bytes: peakMemory(device),
  };
  const result = { phase: name, ...cost, top1, top5, loss, parameters, trained_parameters };
  writeResult(runDir, result);
  log(`done: top-1 ${top1.toFixed(2)} % after ${meter.seconds.toFixed(1)} s of training`);
  return result;
}
