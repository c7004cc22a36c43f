import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { EvalRecord, MetricRecord, StepRecord } from '../src/run/records.js';
import { runFolder, writeResult } from '../src/run/run-folder.js';
import { writeEvaluatedImages } from './synthetic-evaluated.js';

interface PhaseSpec {
  readonly phase: string;
  readonly steps: number;
  /** Block-passes per image. */
  readonly passes: number;
  readonly depths: readonly number[];
  readonly top1: readonly [from: number, to: number];
  readonly state?: 'waiting' | 'running' | 'done' | 'failed';
  /** The trained share of the phase. */
  readonly share?: number;
}

const BATCH = 64;
const MODULES = 4;

const PHASES: readonly PhaseSpec[] = [
  { phase: 'PT', steps: 2800, passes: 12, depths: [1, 1, 1, 1], top1: [11, 88.1] },
  ...Array.from({ length: MODULES }, (_, i) => ({
    phase: `MT/${i}`,
    steps: 900,
    passes: 102 + 2 * i,
    depths: Array.from({ length: MODULES }, (_, stage) => (stage === i ? 32 : 1)),
    top1: [71 - 2 * i, 88.9 + 0.4 * i] as const,
  })),
  { phase: 'FT', steps: 600, passes: 384, depths: [32, 32, 32, 32], top1: [84.2, 90.4] },
  { phase: 'E2E', steps: 2100, passes: 384, depths: [32, 32, 32, 32], top1: [10, 86.7] },
];

/** `end-to-end`: finished, of a recipe without incubation. */
export type Scene = 'running' | 'failed' | 'finished' | 'end-to-end';

/** The progress of each phase of a scene. */
function sceneOf(scene: Scene): readonly PhaseSpec[] {
  const at = (spec: PhaseSpec, state: PhaseSpec['state'], share: number): PhaseSpec => ({
    ...spec,
    state,
    share,
  });
  if (scene === 'end-to-end') return PHASES.slice(-1).map((spec) => at(spec, 'done', 1));
  return PHASES.map((spec, i) => {
    if (scene === 'finished' || i < 3) return at(spec, 'done', 1);
    if (spec.phase === 'FT') return at(spec, 'waiting', 0);
    if (scene === 'failed') return i === 3 ? at(spec, 'failed', 0.42) : at(spec, 'waiting', 0);
    return at(spec, 'running', [0.72, 0.31, 0, 0.44][i - 3]);
  });
}

/** Writes a run folder as the pipeline leaves it in the middle, after a failure, or at the end. */
export function writeDashboardRun(root: string, scene: Scene, recipe: object = {}): void {
  const folder = runFolder(root);
  mkdirSync(root, { recursive: true });
  const training = {
    batch_size: BATCH,
    epochs: 3,
    optimizer: { kind: 'adamw', lr: 0.002, weight_decay: 0.05 },
  };
  const model = { kind: 'vit', image_size: 28, patch_size: 7, classes: 10, width: 64, depth: 128, heads: 2 };
  const whole = {
    name: 'fashion-128',
    seed: 0,
    model,
    incubation: { modules: MODULES },
    training,
    ...recipe,
  };
  writeFileSync(folder.recipe, JSON.stringify(whole, undefined, 2));
  const plans = sceneOf(scene).map(({ phase, steps, passes, depths }) => ({
    phase,
    steps,
    depths,
    starts_from: depths.map((_, stage) => sourceOf(phase, stage)),
    needs: [],
    images: steps * BATCH,
    block_passes: steps * BATCH * passes,
  }));
  writeFileSync(folder.plan, JSON.stringify({ name: 'fashion-128', phases: plans }));
  for (const spec of sceneOf(scene)) {
    const { root: phaseRoot } = folder.phase(spec.phase);
    mkdirSync(phaseRoot, { recursive: true });
    const records = recordsOf(spec, Math.round(spec.steps * (spec.share ?? 0)));
    writeFileSync(
      folder.phase(spec.phase).metrics,
      records.map((record) => `${JSON.stringify(record)}\n`).join(''),
    );
    writeFileSync(folder.phase(spec.phase).log, logOf(spec, records));
    writeFileSync(
      join(phaseRoot, 'status.json'),
      JSON.stringify({
        state: spec.state,
        pid: null,
        host: 'node07',
        restarts: 0,
        since: '2026-03-01T09:12:00.000Z',
        last_error:
          spec.state === 'failed' ? 'loss is not finite (NaN) at step 378; gradient norm 3.1e+5' : null,
      }),
    );
    const last = records.findLast((record) => record.kind === 'eval');
    if (last !== undefined) writeEvaluatedImages(root, last);
    if (spec.state === 'done' && last !== undefined) {
      const { step, images, block_passes, seconds, top1, top5, loss } = last;
      const size = { parameters: 6_400_000, trained_parameters: 1_600_000, memory_bytes: 1.3e9, macs: 1e15 };
      writeResult(root, {
        phase: spec.phase,
        steps: step,
        images,
        block_passes,
        seconds,
        top1,
        top5,
        loss,
        ...size,
      });
    }
  }
}

/** Appends a record for each of the steps, as the trainer would. */
export function appendSteps(root: string, phase: string, steps: readonly number[]): void {
  const spec = PHASES.find((each) => each.phase === phase) as PhaseSpec;
  const records = steps.map((step) => stepRecord(spec, step));
  appendFileSync(
    runFolder(root).phase(phase).metrics,
    records.map((record) => `${JSON.stringify(record)}\n`).join(''),
  );
}

/** Appends an evaluation, as the trainer would. */
export function appendEvaluation(root: string, phase: string, step: number): void {
  const record = evalRecord(PHASES.find((each) => each.phase === phase) as PhaseSpec, step);
  writeEvaluatedImages(root, record);
  appendFileSync(runFolder(root).phase(phase).metrics, `${JSON.stringify(record)}\n`);
}

function recordsOf(spec: PhaseSpec, until: number): MetricRecord[] {
  const evalEvery = Math.round(spec.steps / 9);
  const records: MetricRecord[] = spec.phase === 'FT' && until > 0 ? [evalRecord(spec, 0)] : [];
  for (let step = 1; step <= until; step++) {
    if (step % 5 === 0) records.push(stepRecord(spec, step));
    if (step % evalEvery === 0 || step === spec.steps) records.push(evalRecord(spec, step));
  }
  return records;
}

function stepRecord(spec: PhaseSpec, step: number): StepRecord {
  const noise = (k: number) => Math.sin(step * 12.9898 * k) * 0.6 + Math.sin(step * 4.1414 * k + 1.3) * 0.4;
  const start = 2.4 - spec.top1[0] / 50;
  const loss =
    0.28 + (100 - spec.top1[1]) / 120 + (start - 0.35) * (1 - learnt(spec, step)) + 0.07 * noise(1);
  return {
    ...placeOf(spec, step),
    kind: 'step',
    steps: spec.steps,
    loss,
    lr:
      0.002 * Math.min(1, step / (0.05 * spec.steps)) * (0.5 + 0.5 * Math.cos((Math.PI * step) / spec.steps)),
    images_per_second: (46_000 / (spec.passes + 20)) * (1 + 0.03 * noise(2)),
    data_wait: Math.max(0, 0.021 + 0.012 * noise(3)),
    memory_bytes: 0.9e9 + spec.passes * 2.3e6 + Math.min(step, 200) * 4e5,
    grad_norm: 0.8 + 2 * (1 - learnt(spec, step)) + 0.3 * Math.abs(noise(4)),
  };
}

function evalRecord(spec: PhaseSpec, step: number): EvalRecord {
  const [from, to] = spec.top1;
  const top1 = from + (to - from) * learnt(spec, step);
  return {
    ...placeOf(spec, step),
    kind: 'eval',
    top1,
    top5: Math.min(99.8, top1 + 9),
    loss: (104 - top1) / 38,
  };
}

/** From 0 at the start to 1 at the end. */
function learnt({ steps }: PhaseSpec, step: number): number {
  return (1 - Math.exp((-5 * step) / steps)) / (1 - Math.exp(-5));
}

function placeOf({ phase, passes }: PhaseSpec, step: number) {
  const images = step * BATCH;
  const cost = { block_passes: images * passes, seconds: (images * (passes + 20)) / 46_000 };
  return { phase, epoch: Math.floor(step / 937), step, images, ...cost };
}

/** As in a recipe with fresh modules. */
function sourceOf(phase: string, stage: number): string | null {
  if (phase === 'FT') return `MT/${stage}`;
  return phase === `MT/${stage}` || !phase.startsWith('MT/') ? null : 'PT';
}

function logOf({ phase, steps, depths, state }: PhaseSpec, records: readonly MetricRecord[]): string {
  if (records.length === 0) return '';
  const evaluations = records.filter((record) => record.kind === 'eval');
  const lines = [
    `${phase}: stages of ${depths.join(', ')} blocks, ${steps} steps of ${BATCH} images on cpu`,
    ...evaluations.map(
      ({ step, top1, loss }) => `step ${step}: top-1 ${Number(top1).toFixed(2)} %, loss ${loss.toFixed(4)}`,
    ),
    ...(state === 'failed' ? ['error: loss is not finite (NaN) at step 378; gradient norm 3.1e+5'] : []),
    ...(state === 'done' ? [`done: ${steps} steps`] : []),
  ];
  return lines
    .map((line, i) => `${new Date(Date.UTC(2026, 2, 1, 9, 12, 41 * i)).toISOString()} ${line}\n`)
    .join('');
}
