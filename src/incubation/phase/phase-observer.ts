import { openMetricsLog } from '../../checkpoint/metrics-log.js';
import type { EvalRecord, MetricRecord } from '../../checkpoint/records.js';
import type { PhaseFolder } from '../../checkpoint/run-folder.js';
import type { Crew } from '../../cluster/crew.js';
import type { Doing } from '../../cluster/process-watch.js';
import type { Batch } from '../../data/dataset.js';
import { evalBatches } from '../../data/loader.js';
import type { Generator } from '../../torch/random.js';
import { earlyStop } from '../../training/early-stop.js';
import { evaluate } from '../../training/evaluate.js';
import type { Task } from '../../training/task.js';
import type { StepReport } from '../../training/trainer.js';
import type { Lineage } from '../exchange/lineage.js';
import { type Images, workersOf } from '../images.js';
import { Interrupted } from '../launch/interrupted.js';
import type { Phase } from '../phases.js';
import type { PhasePlan } from '../plan/plan.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { backgroundWriting } from './background-writing.js';
import { openEvaluationDetails } from './evaluation-details.js';
import { createMeter, epochOf } from './meter.js';
import { type Standing, save, THREAD_BYTES, type Trained } from './phase-checkpoint.js';
import type { PhaseEvents } from './phase-events.js';
import type { Log } from './phase-log.js';
import type { PhaseSamples } from './phase-samples.js';
import { StoppedEarly } from './stopped-early.js';

/** What a phase is made of while it trains. */
export interface PhaseParts extends Trained {
  readonly recipe: Recipe;
  readonly phase: Phase;
  readonly plan: PhasePlan;
  readonly folder: PhaseFolder;
  readonly log: Log;
  readonly events: PhaseEvents;
  /** Where files are written. */
  readonly samples: PhaseSamples | undefined;
  readonly images: Images;
  readonly task: Task;
  readonly generator: Generator;
  readonly device: string;
  readonly crew: Crew;
  readonly lineage: Lineage | undefined;
  readonly onProgress: (doing: Doing) => void;
  readonly signal: AbortSignal | undefined;
  /** Checkpoints of as many bytes are written while training goes on. */
  readonly threadBytes?: number | undefined;
}

/**
 * Watches a phase's training: writes its metrics, judges the model, saves checkpoints. Of processes that train together
 * rank 0 does so; the others wait for it, and know what it knows.
 */
export interface Observer {
  /** Scores the model on the validation images, and records it as of `step`. */
  judge(step: number): Promise<EvalRecord>;
  /**
   * For the trainer.
   * @throws Interrupted once the signal is aborted and a checkpoint is saved
   * @throws StoppedEarly once `early_stop` is met
   * @throws InputError or RunError where a checkpoint could not be written
   */
  afterStep(report: StepReport): Promise<void>;
  /** Waits until what was saved is written. */
  finish(): Promise<void>;
  readonly standing: Standing;
}

export function createObserver(parts: PhaseParts, from: Standing): Observer {
  const {
    recipe,
    phase,
    plan,
    folder,
    log,
    events,
    samples,
    images,
    model,
    ema,
    task,
    generator,
    device,
    crew,
    onProgress,
    signal,
  } = parts;
  const { settings, name } = phase;
  const metrics = crew.leads ? openMetricsLog(folder.metrics, { fromStep: from.step }) : undefined;
  const record = (record: MetricRecord) => {
    if (metrics?.append(record)) events.record(record);
  };
  const details =
    samples &&
    openEvaluationDetails(folder, {
      ...{ val: images.val, classes: recipe.model.classes, fromStep: from.step, samples },
    });
  const meter = createMeter(plan, device, from.seconds);
  const evalSteps = Math.max(1, Math.round(settings.eval_every * plan.steps_per_epoch));
  const isEnough = enoughOf(phase);
  let savedAt = performance.now();
  let standing = from;
  const writing = backgroundWriting();

  const judge = async (step: number): Promise<EvalRecord> => {
    onProgress('evaluating');
    const { precision, batch_size: batchSize } = settings;
    const transform = images.evalTransform;
    const batches = evalBatches({ dataset: images.val, batchSize, transform, ...workersOf(recipe) });
    const [top1, top5, loss, count] = await crew.led(4, async (beat) => {
      const judging = details?.begin();
      const score = () =>
        evaluate({
          model,
          task,
          batches: beating(batches, () => {
            beat();
            onProgress('evaluating');
          }),
          precision,
          device,
          generator,
          ...(judging && { onPredicted: judging.onPredicted }),
        });
      const found = await (ema === undefined ? score() : ema.swapped(score));
      await judging?.write(step);
      return [found.top1, found.top5, found.loss, found.images];
    });
    const scores = { top1, top5, loss, images: count };
    const place = { kind: 'eval', phase: name, epoch: epochOf(plan, step), step } as const;
    const cost = { block_passes: (plan.block_passes / plan.steps) * step, seconds: meter.seconds };
    const last = { ...place, ...scores, ...cost };
    record(last);
    log(`step ${step}: top-1 ${scores.top1.toFixed(2)} %, loss ${scores.loss.toFixed(4)}`);
    standing = { ...standing, last, scores: [...standing.scores, scores.top1] };
    return last;
  };

  const afterStep = async (report: StepReport): Promise<void> => {
    const { step } = report;
    const isLast = step === plan.steps;
    ema?.update();
    const measured = meter.record(report);
    standing = { ...standing, step, seconds: meter.seconds };
    if (step === 1 || isLast || step % settings.log_every === 0) {
      record(measured);
      meter.lap();
    }
    events.weights(step, model);
    // The last step is judged: one shortly before it would tell nothing more.
    const isJudged = isLast || (step % evalSteps === 0 && plan.steps - step >= evalSteps / 2);
    if (isJudged) await judge(step);
    // Never waits for the one before: it is due once that is written.
    const isDue =
      crew.leads && !writing.isBusy && performance.now() - savedAt > 1000 * settings.checkpoint_every;
    const [isStopping, isSaving] = crew.any([signal?.aborted ?? false, isDue]);
    if (isJudged || isStopping || isSaving) {
      onProgress('saving');
      await writing.done();
      const saved = save(folder.root, { ...parts, threadBytes: parts.threadBytes ?? THREAD_BYTES }, standing);
      standing = saved.standing;
      writing.start(saved.written);
      savedAt = performance.now();
    }
    onProgress('training');
    await writing.check();
    if (isJudged && isEnough(standing.scores)) {
      log(`step ${step}: no better top-1 for ${settings.early_stop?.patience} evaluations`);
      throw new StoppedEarly();
    }
    if (isStopping && !isLast) {
      onProgress('saving');
      await writing.done();
      throw new Interrupted(`${name} was interrupted at step ${step} of ${plan.steps}`);
    }
  };

  return {
    judge,
    afterStep,
    finish: writing.done,
    get standing() {
      return standing;
    },
  };
}

async function* beating(batches: AsyncIterable<Batch>, beat: () => void): AsyncGenerator<Batch> {
  for await (const batch of batches) {
    yield batch;
    beat();
  }
}

/** Whether a phase's evaluations so far are reason to stop. */
export function enoughOf({ settings }: Phase): (scores: readonly number[]) => boolean {
  const stop = settings.early_stop;
  return stop === null ? () => false : earlyStop({ patience: stop.patience, minDelta: stop.min_delta });
}
