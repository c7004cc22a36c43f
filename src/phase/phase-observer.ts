import { Interrupted, RunError } from '../base/errors.js';
import type { Batch } from '../data/dataset.js';
import { evalBatches } from '../data/loader/loader.js';
import { costUntil } from '../plan/cost.js';
import type { Phase } from '../recipe/phase.js';
import { labelledScore, type Metric, scoreOf } from '../run/metric.js';
import { openMetricsLog } from '../run/metrics-log.js';
import type { EvalRecord, MetricRecord } from '../run/records.js';
import { earlyStop } from '../training/early-stop.js';
import { type Evaluation, evaluate } from '../training/evaluate.js';
import type { StepReport } from '../training/step-values.js';
import { workersOf } from './images/images.js';
import { openEvaluationDetails } from './observe/evaluation-details.js';
import { createMeter, epochOf } from './observe/meter.js';
import type { PhaseParts } from './open-phase.js';
import { type PhasePoint, save, THREAD_BYTES } from './phase-checkpoint.js';

/** A write that runs while training continues. There is at most one at a time. */
interface BackgroundWriting {
  readonly isBusy: boolean;
  start(written: Promise<void>): void;
  /** Throws the error of a failed write as soon as it is known. */
  check(): Promise<void>;
  /** Waits for the current write to finish, and throws its error if it failed. */
  done(): Promise<void>;
}

export function backgroundWriting(): BackgroundWriting {
  let pending: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  const check = async () => {
    // Let the event loop deliver messages from the writing thread.
    if (pending !== undefined) await new Promise((resolve) => setImmediate(resolve));
    if (failure !== undefined) throw failure.error;
  };
  return {
    get isBusy() {
      return pending !== undefined;
    },
    start(written) {
      pending = written
        .catch((error: unknown) => {
          failure = { error };
        })
        .finally(() => {
          pending = undefined;
        });
    },
    check,
    async done() {
      await pending;
      await check();
    },
  };
}

/** A phase has ended before its last step because its evaluations no longer improve. */
export class StoppedEarly extends RunError {
  constructor() {
    super('the phase stopped early');
  }
}

/**
 * Watches a phase's training: writes its metrics, evaluates the model, saves checkpoints. If several processes train
 * together, rank 0 does this; the other ranks wait and receive the results.
 */
export interface Observer {
  /** Scores the model on the validation images, and records the scores for `step`. */
  evaluate(step: number): Promise<EvalRecord>;
  /**
   * Callback for the trainer.
   * @throws Interrupted after the signal was aborted and a checkpoint was saved
   * @throws StoppedEarly if `early_stop` is met
   * @throws InputError or RunError if a checkpoint could not be written
   */
  afterStep(report: StepReport): Promise<void>;
  /** Waits until all checkpoints are written. */
  finish(): Promise<void>;
  readonly point: PhasePoint;
}

export function createObserver(parts: PhaseParts, from: PhasePoint): Observer {
  const { phase, plan, folder, log, events, model, task, ema, device, crew, onProgress, signal } = parts;
  const { primary } = task.metrics;
  const { settings, name } = phase;
  const metrics = crew.leads ? openMetricsLog(folder.metrics, { fromStep: from.step }) : undefined;
  const record = (record: MetricRecord) => {
    if (metrics?.append({ ...record, time: Date.now() })) events.record(record);
  };
  const score = scorer(parts, from.step);
  const meter = createMeter(plan, device, from.seconds);
  const evalSteps = Math.max(1, Math.round(settings.eval_every * plan.steps_per_epoch));
  const isEnough = enoughOf(phase, primary);
  let savedAt = performance.now();
  let point = from;
  const writing = backgroundWriting();

  const evaluate = async (step: number): Promise<EvalRecord> => {
    const scores = await score(step);
    const place = { kind: 'eval', phase: name, epoch: epochOf(plan, step), step } as const;
    const cost = { block_passes: costUntil(plan, step).block_passes, seconds: meter.seconds };
    const last = { ...place, ...scores, ...cost };
    record(last);
    log(`step ${step}: ${labelledScore(primary, scores)}, eval loss ${scores.loss.toFixed(4)}`);
    point = { ...point, last, scores: [...point.scores, scoreOf(scores, primary)] };
    return last;
  };

  // A checkpoint is not due while the previous one is being written.
  const isDue = () =>
    crew.leads && !writing.isBusy && performance.now() - savedAt > 1000 * settings.checkpoint_every;

  /** Whether any process is to stop, and whether a checkpoint is due. Does not wait for a GPU. */
  const wishes = () => crew.any([signal?.aborted ?? false, isDue()]);

  const afterStep = async (report: StepReport): Promise<void> => {
    const { step } = report;
    const isLast = step === plan.steps;
    ema?.update();
    // The last step is always evaluated, so an evaluation shortly before it would add nothing.
    const isEvaluated = isLast || (step % evalSteps === 0 && plan.steps - step >= evalSteps / 2);
    const isLogged = step === 1 || isLast || step % settings.log_every === 0;
    let [isStopping, isSaving] = wishes();
    // Waits for a GPU here, so that the wait counts as training.
    if (isLogged || isEvaluated || isStopping || isSaving) report.requireFinite();
    meter.count(report);
    point = { ...point, step, seconds: meter.seconds };
    if (isLogged) {
      record(meter.record(report));
      meter.lap();
    }
    events.weights(step, model);
    if (isEvaluated) {
      await evaluate(step);
      [isStopping, isSaving] = wishes();
    }
    if (isEvaluated || isStopping || isSaving) {
      onProgress('saving');
      await writing.done();
      const saved = save(folder.root, { ...parts, threadBytes: parts.threadBytes ?? THREAD_BYTES }, point);
      point = saved.point;
      writing.start(saved.written);
      savedAt = performance.now();
    }
    onProgress('training');
    await writing.check();
    if (isEvaluated && isEnough(point.scores)) {
      log(`step ${step}: no better ${primary.label} for ${settings.early_stop?.patience} evaluations`);
      throw new StoppedEarly();
    }
    if (isStopping && !isLast) {
      onProgress('saving');
      await writing.done();
      throw new Interrupted(`${name} was interrupted at step ${step} of ${plan.steps}`);
    }
  };

  return {
    evaluate,
    afterStep,
    finish: writing.done,
    get point() {
      return point;
    },
  };
}

/** Returns a function that decides from the scores so far whether the phase stops early. */
export function enoughOf(
  { settings }: Phase,
  { better }: Pick<Metric, 'better'>,
): (scores: readonly number[]) => boolean {
  const stop = settings.early_stop;
  if (stop === null) return () => false;
  return earlyStop({ patience: stop.patience, minDelta: stop.min_delta, better });
}

/**
 * Returns a function that scores a phase's model on the validation images and writes the details of the evaluation for a
 * step. If several processes train together, rank 0 does this; the other ranks wait and receive the scores.
 */
function scorer(parts: PhaseParts, fromStep: number): (step: number) => Promise<Evaluation> {
  const { phase, folder, samples, images, model, ema, task, device, precision, crew, onProgress } = parts;
  const { all: metrics } = task.metrics;
  const details =
    samples &&
    openEvaluationDetails(folder, {
      val: images.val,
      classes: phase.model.classes,
      fromStep,
      samples,
      task,
      shown: phase.run.samples,
    });
  return async (step) => {
    onProgress('evaluating');
    const { batch_size: batchSize } = phase.settings;
    const batches = evalBatches({
      dataset: images.val,
      batchSize,
      ...images.evaluation,
      ...workersOf(phase),
    });
    const [loss, count, ...values] = await crew.led(2 + metrics.length, async (beat) => {
      const evaluationDetails = details?.begin();
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
          ...evaluationDetails?.callbacks,
        });
      const found = await (ema === undefined ? score() : ema.swapped(score));
      await evaluationDetails?.write(step);
      return [found.loss, found.images, ...metrics.map((metric) => scoreOf(found, metric))];
    });
    return { ...Object.fromEntries(metrics.map(({ name }, i) => [name, values[i]])), loss, images: count };
  };
}

async function* beating(batches: AsyncIterable<Batch>, beat: () => void): AsyncGenerator<Batch> {
  for await (const batch of batches) {
    yield batch;
    beat();
  }
}
