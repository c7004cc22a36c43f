import type { Scored } from './metric.js';

/**
 * One line of a phase's `metrics.jsonl`. Names are those of the run-folder contract (snake_case);
 * other programs read them. Within a file, `step` never decreases and no step occurs twice.
 */
export type MetricRecord = StepRecord | EvalRecord;

export interface StepRecord {
  readonly kind: 'step';
  /** `PT`, `MT/0` ..., `FT` or `E2E`. */
  readonly phase: string;
  /** Epoch the step belongs to, from 0. */
  readonly epoch: number;
  /** Optimiser steps done, this one included: 1 after the first. */
  readonly step: number;
  /** Steps of the whole phase. */
  readonly steps: number;
  /** Training loss of this step, a mean over its images. */
  readonly loss: number;
  readonly lr: number;
  /** Over the steps since the last record. */
  readonly images_per_second: number;
  /** Images seen in this phase so far. */
  readonly images: number;
  /** Cost of this phase so far, in block-passes (docs/method.md, "What it costs"). */
  readonly block_passes: number;
  /** Training seconds of this phase so far, evaluation and start-up left out, over all resumes. */
  readonly seconds: number;
  /** Share of the time since the last record spent waiting for data, 0 to 1. */
  readonly data_wait: number;
  /** Peak resident memory of the process (CPU) or peak allocated device memory, bytes. */
  readonly memory_bytes: number;
  /** Global gradient norm before clipping. */
  readonly grad_norm?: number;
}

/** Has the task's metrics by name, among its fields. */
export interface EvalRecord extends Scored {
  readonly kind: 'eval';
  readonly phase: string;
  readonly epoch: number;
  readonly step: number;
  /** Mean cross-entropy over all images, without label smoothing. */
  readonly loss: number;
  /** Images evaluated. */
  readonly images: number;
  readonly block_passes: number;
  readonly seconds: number;
}

/**
 * Result of a finished phase, written atomically to `<phase>/result.json` when its last step is done. Has the metrics of the last
 * evaluation by name, among its fields.
 */
export interface PhaseResult extends Scored {
  readonly phase: string;
  readonly steps: number;
  readonly images: number;
  readonly block_passes: number;
  readonly macs: number;
  /** Training seconds, evaluation and start-up left out. */
  readonly seconds: number;
  /** The evaluation loss of the last evaluation. */
  readonly loss: number;
  /** How many images it was measured on; absent in results of before this was recorded. */
  readonly evaluation_images?: number;
  readonly parameters: number;
  readonly trained_parameters: number;
  readonly memory_bytes: number;
  /** Processes that trained it together, whoever started them; absent in results of before they were counted. */
  readonly ranks?: number;
}
