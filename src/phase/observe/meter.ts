import { costUntil, stageAt } from '../../plan/cost.js';
import type { PhasePlan } from '../../plan/plan.js';
import type { StepRecord } from '../../run/records.js';
import { peakMemory } from '../../torch/engine.js';
import type { StepReport } from '../../training/step-values.js';

/** Adds up the cost of a phase's steps. */
interface Meter {
  /** Counts a step. */
  count(report: StepReport): void;
  /** The record of the step that was counted last. Waits for the device. */
  record(report: StepReport): StepRecord;
  /** Starts the next interval of `images_per_second` and `data_wait`. */
  lap(): void;
  /** Training seconds so far, without evaluation and checkpoints. */
  readonly seconds: number;
}

/** @param seconds of training before this process started */
export function createMeter(plan: PhasePlan, device: string, seconds: number): Meter {
  let lapMilliseconds = 0;
  let lapWait = 0;
  let lapImages = 0;

  return {
    count({ images, milliseconds, dataMilliseconds }) {
      lapMilliseconds += milliseconds;
      lapWait += dataMilliseconds;
      lapImages += images;
      seconds += milliseconds / 1000;
    },
    record({ step, loss, lr, gradNorm }) {
      const { images, block_passes } = costUntil(plan, step);
      const stage = stageAt(plan, step - 1);
      return {
        kind: 'step',
        phase: plan.phase,
        epoch: epochOf(plan, step),
        step,
        steps: plan.steps,
        loss,
        lr,
        images_per_second: (1000 * lapImages) / lapMilliseconds,
        images,
        block_passes,
        ...(stage && { image_size: stage.image_size }),
        seconds,
        data_wait: lapWait / lapMilliseconds,
        memory_bytes: peakMemory(device),
        ...(gradNorm === undefined ? {} : { grad_norm: gradNorm }),
      };
    },
    lap() {
      lapMilliseconds = 0;
      lapWait = 0;
      lapImages = 0;
    },
    get seconds() {
      return seconds;
    },
  };
}

/** The epoch, counted from 0, of the last of `step` steps. */
export function epochOf(plan: PhasePlan, step: number): number {
  return Math.floor(Math.max(step - 1, 0) / plan.steps_per_epoch);
}
