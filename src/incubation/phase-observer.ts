import { openMetricsLog } from '../checkpoint/metrics-log.js';
import type { EvalRecord } from '../checkpoint/records.js';
import type { PhaseFolder } from '../checkpoint/run-folder.js';
import { evalBatches } from '../data/loader.js';
import type { StagedModel } from '../models/staged.js';
import type { Generator } from '../torch/random.js';
import { evaluate } from '../training/evaluate.js';
import type { Optimizer } from '../training/optimizer.js';
import type { Task } from '../training/task.js';
import type { StepReport } from '../training/trainer.js';
import type { Images } from './images.js';
import { Interrupted } from './interrupted.js';
import { createMeter, epochOf } from './meter.js';
import { type Standing, save } from './phase-checkpoint.js';
import type { Log } from './phase-log.js';
import type { Phase } from './phases.js';
import type { PhasePlan } from './plan.js';
import type { Recipe } from './recipe-schema.js';

/** What a phase is made of while it trains. */
export interface PhaseParts {
  readonly recipe: Recipe;
  readonly phase: Phase;
  readonly plan: PhasePlan;
  readonly folder: PhaseFolder;
  readonly log: Log;
  readonly images: Images;
  readonly model: StagedModel;
  readonly optimizer: Optimizer;
  readonly task: Task;
  readonly generator: Generator;
  readonly device: string;
  readonly signal: AbortSignal | undefined;
}

/** Watches a phase's training: writes its metrics, judges the model, saves checkpoints. */
export interface Observer {
  /** Scores the model on the validation images, and records it as of `step`. */
  judge(step: number): Promise<EvalRecord>;
  /** For the trainer. @throws Interrupted once the signal is aborted and a checkpoint is saved */
  afterStep(report: StepReport): Promise<void>;
  readonly standing: Standing;
}

export function createObserver(parts: PhaseParts, from: Standing): Observer {
  const { phase, plan, folder, log, images, model, task, generator, device, signal } = parts;
  const { settings, name } = phase;
  const metrics = openMetricsLog(folder.metrics, { fromStep: from.step });
  const meter = createMeter(plan, device, from.seconds);
  const evalSteps = Math.max(1, Math.round(settings.eval_every * plan.steps_per_epoch));
  let savedAt = performance.now();
  let standing = from;

  const judge = async (step: number): Promise<EvalRecord> => {
    const { precision, batch_size: batchSize } = settings;
    const batches = evalBatches({ dataset: images.val, batchSize, transform: images.evalTransform });
    const scores = await evaluate({ model, task, batches, precision, device, generator });
    const place = { kind: 'eval', phase: name, epoch: epochOf(plan, step), step } as const;
    const cost = { block_passes: (plan.block_passes / plan.steps) * step, seconds: meter.seconds };
    const last = { ...place, ...scores, ...cost };
    metrics.append(last);
    log(`step ${step}: top-1 ${scores.top1.toFixed(2)} %, loss ${scores.loss.toFixed(4)}`);
    standing = { ...standing, last };
    return last;
  };

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
      standing = save(folder.root, parts, standing);
      savedAt = performance.now();
    }
    if (isStopping && !isLast)
      throw new Interrupted(`${name} was interrupted at step ${step} of ${plan.steps}`);
  };

  return {
    judge,
    afterStep,
    get standing() {
      return standing;
    },
  };
}
