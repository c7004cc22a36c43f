import type { Scored } from './metric.js';

/**
 * One line of a phase's `metrics.jsonl`. Names are those of the run-folder contract (snake_case);
 * other programs read them. Within a file, `step` never decreases and no step occurs twice for one `kind`.
 */
export type MetricRecord = StepRecord | EvalRecord;

export interface StepRecord {
  readonly kind: 'step';
  /** `PT`, `MT/0` ..., `FT` or `E2E`. */
  readonly phase: string;
  /** Epoch of the step, from 0. */
  readonly epoch: number;
  /** Number of optimiser steps done, including this one: 1 after the first. */
  readonly step: number;
  /** Number of steps of the whole phase. */
  readonly steps: number;
  /** Training loss of this step, a mean over its images. */
  readonly loss: number;
  readonly lr: number;
  /** Mean over the steps since the last record. */
  readonly images_per_second: number;
  /** Number of images seen in this phase so far. */
  readonly images: number;
  /** Cost of this phase so far, in block-passes (docs/method.md, "What it costs"). */
  readonly block_passes: number;
  /** Side of the images of this step, in pixels; only in a phase with a curriculum. */
  readonly image_size?: number;
  /** Training seconds of this phase so far, without evaluation and start-up, over all resumes. */
  readonly seconds: number;
  /** Fraction of the time since the last record that was spent waiting for data, 0 to 1. */
  readonly data_wait: number;
  /** Peak resident memory of the process (CPU) or peak allocated device memory, bytes. */
  readonly memory_bytes: number;
  /** Global gradient norm before clipping. */
  readonly grad_norm?: number;
  /** When it was written, in milliseconds since 1970; missing in records of older versions. */
  readonly time?: number;
}

/** Also has the task's metrics as fields, by name. */
export interface EvalRecord extends Scored {
  readonly kind: 'eval';
  readonly phase: string;
  readonly epoch: number;
  readonly step: number;
  /** Mean cross-entropy over all images, without label smoothing. */
  readonly loss: number;
  /** Number of evaluated images. */
  readonly images: number;
  readonly block_passes: number;
  readonly seconds: number;
  /** As in a `StepRecord`. */
  readonly time?: number;
}

/**
 * Result of a finished phase, written atomically to `<phase>/result.json` when its last step is done. Also has the metrics of
 * the last evaluation as fields, by name.
 */
export interface PhaseResult extends Scored {
  readonly phase: string;
  readonly steps: number;
  readonly images: number;
  readonly block_passes: number;
  readonly macs: number;
  /** The stages of `training.curriculum`, as planned; absent without one. */
  readonly curriculum?: readonly StageRecord[];
  /** Training seconds, without evaluation and start-up. */
  readonly seconds: number;
  /** Loss of the last evaluation. */
  readonly loss: number;
  /** Number of images in the last evaluation; missing in results of older versions. */
  readonly evaluation_images?: number;
  readonly parameters: number;
  readonly trained_parameters: number;
  readonly memory_bytes: number;
  /** Number of processes that trained the phase together, however they were started; missing in results of older versions. */
  readonly ranks?: number;
}

/** A stage of a curriculum. */
export interface StageRecord {
  readonly steps: number;
  /** Side of the images, in pixels. */
  readonly image_size: number;
  /** Whether the images were reduced to their low frequencies, instead of resized. */
  readonly low_pass: boolean;
  /** Magnitude of RandAugment; null: that of the policy. */
  readonly magnitude: number | null;
}

/** Number of recent records from whose speed the remaining time is estimated. */
export const RECENT = 20;

/** @returns the seconds left in a phase, at the speed between two of its steps; null without a step */
export function secondsLeft(first: Place | undefined, last: Place | undefined, steps: number): number | null {
  if (first === undefined || last === undefined) return null;
  const perStep =
    last.step > first.step
      ? (last.seconds - first.seconds) / (last.step - first.step)
      : last.seconds / Math.max(last.step, 1);
  return Math.max(0, steps - last.step) * perStep;
}

interface Place {
  readonly step: number;
  /** Training seconds so far. */
  readonly seconds: number;
}

interface WithStages {
  readonly phase: string;
  readonly curriculum?: readonly StageRecord[] | undefined;
}

/**
 * One line for each different curriculum, with the phases that have it.
 *
 * @example
 * // Curriculum of MT/0, MT/1: 96 px, low-pass, m0 until step 250; 224 px until step 1,000.
 */
export function curriculumLines(phases: readonly WithStages[]): string[] {
  const names = new Map<string, string[]>();
  for (const { phase, curriculum } of phases) {
    if (curriculum === undefined) continue;
    const text = curriculumText(curriculum);
    names.set(text, [...(names.get(text) ?? []), phase]);
  }
  return [...names].map(([text, of]) => `Curriculum of ${of.join(', ')}: ${text}.`);
}

/** Whether a value from a file is a list of stages. */
export function areStages(value: unknown): value is readonly StageRecord[] {
  return (
    Array.isArray(value) &&
    value.every((stage) => {
      const { steps, image_size, low_pass, magnitude } = Object(stage);
      const numbers = [steps, image_size, magnitude ?? 0];
      return numbers.every((each) => typeof each === 'number') && typeof low_pass === 'boolean';
    })
  );
}

/** The stages of a phase, and the steps at which they end. */
export function curriculumText(stages: readonly StageRecord[]): string {
  let end = 0;
  const texts = stages.map(({ steps, image_size, low_pass, magnitude }) => {
    end += steps;
    const what = [
      `${image_size} px`,
      ...(low_pass ? ['low-pass'] : []),
      ...(magnitude === null ? [] : [`m${magnitude}`]),
    ];
    return `${what.join(', ')} until step ${end.toLocaleString('en-US')}`;
  });
  return texts.join('; ');
}
