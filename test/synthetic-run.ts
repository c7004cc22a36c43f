import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EvalRecord, MetricRecord, PhaseResult, StepRecord } from '../src/run/records.js';
import { runFolder, writeResult } from '../src/run/run-folder.js';

export interface SyntheticPhase {
  readonly phase: string;
  readonly epochs: number;
  /** Top-1 before the first and after the last epoch. */
  readonly top1: readonly [number, number];
  /** Block-passes per image. */
  readonly passes: number;
  /** Number of trained epochs, if the phase is unfinished. */
  readonly stoppedAfter?: number;
}

const STEPS = 47;
const BATCH = 128;
const EVAL_IMAGES = 4000;

/** The records of such a phase: one for every fifth step, and an evaluation per epoch. */
export function syntheticRecords({
  phase,
  epochs,
  top1,
  passes,
  stoppedAfter,
}: SyntheticPhase): MetricRecord[] {
  const steps = epochs * STEPS;
  const cost = (step: number) => ({
    images: step * BATCH,
    block_passes: step * BATCH * passes,
    seconds: (step * BATCH * (passes + 6)) / 60_000,
  });
  const learnt = (step: number) => 1 - Math.exp((-3 * step) / steps);
  const trained: StepRecord[] = [];
  const evaluated: EvalRecord[] = [];
  for (let step = 1; step <= (stoppedAfter ?? epochs) * STEPS; step++) {
    const epoch = Math.floor((step - 1) / STEPS);
    const common = { phase, epoch, step, ...cost(step) };
    const loss = 2.3 - 1.1 * learnt(step) + 0.12 * Math.sin(step * 12.9898);
    if (step % 5 === 0) {
      trained.push({
        ...common,
        kind: 'step',
        steps,
        loss,
        lr: 1e-3,
        images_per_second: 60_000 / (passes + 6),
        data_wait: 0.02,
        memory_bytes: 1.3e9,
      });
    }
    if (step % STEPS === 0) {
      const reached = top1[0] + ((top1[1] - top1[0]) * learnt(step)) / learnt(steps);
      const loss = 2.1 - 1.4 * learnt(step);
      evaluated.push({ ...common, kind: 'eval', images: EVAL_IMAGES, top1: reached, top5: 99, loss });
    }
  }
  return [...trained, ...evaluated].sort((a, b) => a.step - b.step);
}

export function syntheticResult(options: SyntheticPhase): PhaseResult {
  const records = syntheticRecords(options);
  const last = records.filter((record) => record.kind === 'eval').at(-1);
  if (last === undefined) throw new Error('a finished phase needs an epoch');
  const { phase, step, block_passes, seconds, top1, top5, loss } = last;
  return {
    phase,
    steps: step,
    images: step * BATCH,
    block_passes,
    macs: block_passes * 1.5e6,
    seconds,
    top1,
    top5,
    loss,
    parameters: 2_700_000,
    trained_parameters: 700_000,
    memory_bytes: 1.3e9,
  };
}

/** The phases of a run with four modules of three blocks each. */
export const FULL_RUN: readonly SyntheticPhase[] = [
  { phase: 'PT', epochs: 12, top1: [10, 68], passes: 12 },
  ...[0, 1, 2, 3].map((i) => ({
    phase: `MT/${i}`,
    epochs: 4,
    top1: [60 - i, 74 + i] as const,
    passes: 14,
  })),
  { phase: 'FT', epochs: 4, top1: [64, 84.1], passes: 36 },
  { phase: 'E2E', epochs: 12, top1: [10, 79.3], passes: 36 },
];

/** Writes a run folder in the pipeline's format. */
export function writeSyntheticRun(root: string, phases: readonly SyntheticPhase[], recipe: object): void {
  const folder = runFolder(root);
  mkdirSync(root, { recursive: true });
  writeFileSync(folder.recipe, JSON.stringify(recipe));
  for (const options of phases) {
    const { root: phaseRoot } = folder.phase(options.phase);
    mkdirSync(phaseRoot, { recursive: true });
    const lines = syntheticRecords(options).map((record) => `${JSON.stringify(record)}\n`);
    writeFileSync(join(phaseRoot, 'metrics.jsonl'), lines.join(''));
    if (options.stoppedAfter === undefined) writeResult(root, syntheticResult(options));
  }
}
