import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import type { AuxiliaryHeads } from '../method/local/local-losses.js';
import { tapsIn, tapsOf } from '../models/dense/decoder-config.js';
import { RAW } from '../models/model-file/own-checkpoint.js';
import type { StagedModel } from '../models/staged.js';
import { blockSpans } from '../models/staged.js';
import { loadWeights, weightsOf } from '../nn/weights.js';
import type { Lineage } from '../recipe/lineage.js';
import type { Phase } from '../recipe/phase.js';
import {
  type Checkpoint,
  type LoadedCheckpoint,
  loadLatest,
  prune,
  saveCheckpoint,
  saveCheckpointInThread,
} from '../run/checkpoint-store.js';
import { isBetter, scoreOf } from '../run/metric.js';
import type { EvalRecord } from '../run/records.js';
import { noGrad } from '../torch/autograd.js';
import { engineInfo } from '../torch/engine.js';
import { copyInto } from '../torch/ops.js';
import type { Precision } from '../torch/precision.js';
import { scope } from '../torch/scope.js';
import { fromData, type Tensor } from '../torch/tensor.js';
import { type Crew, readForAll } from '../training/distributed/crew.js';
import type { Ema } from '../training/ema.js';
import type { Optimizer } from '../training/optimizers/optimizer.js';
import type { Task } from '../training/task.js';
import type { Images } from './images/images.js';
import type { Log } from './observe/phase-log.js';

/** Progress of a phase, stored in a checkpoint along with the tensors. */
export interface PhasePoint {
  readonly step: number;
  /** Training time, without evaluation. */
  readonly seconds: number;
  /** The last evaluation. */
  readonly last: EvalRecord | undefined;
  /** The primary metric of every evaluation, oldest first. */
  readonly scores: readonly number[];
  /** The primary metric of the checkpoint that `best` points to. */
  readonly best: number | undefined;
}

const evaluation = z.looseObject({
  step: z.int(),
  loss: z.number(),
});

const standingSchema = z.object({
  phase: z.string(),
  step: z.int(),
  seconds: z.number(),
  last: evaluation.optional(),
  scores: z.array(z.number()).default([]),
  best: z.number().optional(),
});

/** The precision that a phase began with. Checkpoints of earlier versions do not state it; these had no other default. */
export function recordedPrecision({ manifest }: Checkpoint): Precision {
  return z.enum(['float32', 'tf32', 'bfloat16']).catch('float32').parse(manifest.precision);
}

/** The model, and the state that training changes with it. */
export interface Trained {
  readonly model: StagedModel;
  /** The auxiliary heads of local losses; undefined for other objectives. */
  readonly auxiliary: AuxiliaryHeads | undefined;
  readonly optimizer: Optimizer;
  /** Averages of `averagedWeights`, if the phase keeps them. */
  readonly ema: Ema | undefined;
}

/** The weights that `ema` averages: all weights that training changes. */
export function averagedWeights(model: StagedModel): [name: string, weight: Tensor][] {
  return [...model.trainedParameters(), ...model.trainedBuffers()];
}

/** Description of the images in a checkpoint's manifest. */
export interface CheckpointData {
  /** Digest of the data set that the phase was last trained on; see `DataIdentity`. */
  readonly digest: string | undefined;
  /** Number of images that the phase was planned with. Its schedule does not change when images are added. */
  readonly train_images: number;
}

const AVERAGED = 'ema.';
const UPDATES = 'ema_updates';

/**
 * Loads the newest undamaged checkpoint of a phase and logs those that it skips. All processes that train together call
 * this: rank 0 reads and verifies each file once, and sends the tensors to the other ranks.
 */
export async function loadForAll(
  phaseFolder: string,
  crew: Crew,
  log: Log,
): Promise<LoadedCheckpoint | undefined> {
  const loaded = await readForAll(crew, async (beat) => {
    const { checkpoint, skipped } = loadLatest(phaseFolder, beat);
    for (const { folder, reason } of skipped) log(`ignored checkpoint ${folder}: ${reason}`);
    if (checkpoint === undefined) return undefined;
    const { model, optimizer, auxiliary, ...about } = checkpoint;
    return { about, tensors: [model, optimizer, auxiliary] };
  });
  if (loaded === undefined) return undefined;
  const [model, optimizer, auxiliary] = loaded.tensors;
  return { ...loaded.about, model, optimizer, auxiliary };
}

/**
 * Restores optimiser, averages, auxiliary heads and trained weights.
 * @returns the progress of the phase
 * @throws InputError if the checkpoint's manifest is damaged or belongs to another phase
 */
export function resume(
  checkpoint: LoadedCheckpoint | undefined,
  trained: Trained,
  phase: string,
): PhasePoint {
  if (checkpoint === undefined) {
    return { step: 0, seconds: 0, last: undefined, scores: [], best: undefined };
  }
  const point = pointIn(checkpoint, phase);
  const { model, optimizer, auxiliary, folder } = checkpoint;
  if (trained.auxiliary !== undefined) loadWeights(trained.auxiliary, auxiliary, folder);
  trained.optimizer.load(without(optimizer, (name) => name.startsWith(RAW) || name === UPDATES));
  if (trained.ema !== undefined) resumeAverages(trained, trained.ema, model, optimizer);
  return point;
}

function pointIn({ folder, manifest }: Checkpoint, phase: string): PhasePoint {
  const path = join(folder, 'manifest.json');
  const hint = 'delete this checkpoint: training then resumes from the previous one';
  const found = standingSchema.safeParse(manifest);
  if (!found.success) {
    const { path: key, message } = found.error.issues[0];
    throw new InputError(`${path}: ${key.join('.')}: ${message}`, { hint });
  }
  const { phase: whose, step, seconds, last, scores, best } = found.data;
  if (whose !== phase) throw new InputError(`${path} belongs to ${whose}, not to ${phase}`, { hint });
  return { step, seconds, last: last as EvalRecord | undefined, scores, best };
}

type Tensors = ReadonlyMap<string, TensorData>;

function resumeAverages({ model }: Trained, ema: Ema, averages: Tensors, state: Tensors): void {
  const weights = averagedWeights(model);
  const updates = state.get(UPDATES);
  const averaged = weights.flatMap(([name]): [string, TensorData][] => {
    const data = averages.get(name);
    return data === undefined ? [] : [[`${AVERAGED}${name}`, data]];
  });
  ema.load(new Map([...averaged, ...(updates === undefined ? [] : [[UPDATES, updates] as const])]));
  noGrad(() => {
    for (const [name, weight] of weights) {
      const raw = state.get(RAW + name);
      if (raw !== undefined) scope(() => copyInto(weight, fromData(raw, weight.device)));
    }
  });
}

/**
 * Saves model, optimiser and progress. Keeps the newest checkpoints and the best one by the primary metric. All processes
 * that train together call this, and rank 0 writes. A large checkpoint is copied, and written while training continues.
 * Do not save the next checkpoint before `written` resolves.
 */
export function save(
  phaseFolder: string,
  parts: Trained & {
    readonly phase: Phase;
    readonly task: Pick<Task, 'metrics'>;
    readonly crew: Crew;
    readonly device: string;
    readonly precision: Precision;
    readonly lineage: Lineage | undefined;
    readonly data: CheckpointData;
    readonly images: Pick<Images, 'train'>;
    readonly threadBytes: number;
  },
  point: PhasePoint,
): { readonly point: PhasePoint; readonly written: Promise<void> } {
  const { phase, crew, device, lineage, images } = parts;
  const { step, last } = point;
  const { primary } = parts.task.metrics;
  const score = last?.step === step ? scoreOf(last, primary) : undefined;
  const isBest = score !== undefined && (point.best === undefined || isBetter(primary, score, point.best));
  const now = isBest ? { ...point, best: score } : point;
  if (!crew.leads) {
    // Gathering the sharded state needs all ranks.
    if (phase.settings.optimizer.sharded) parts.optimizer.state();
    return { point: now, written: Promise.resolve() };
  }
  const { seed, model: geometry, data: pixels } = phase;
  // With the geometry, a checkpoint can be evaluated without the recipe.
  const manifest = {
    phase: phase.name,
    seed,
    depths: phase.depths,
    init: phase.init === 'fresh' ? undefined : phase.init,
    model: geometry,
    taps: ownTaps(phase),
    ...ownTask(phase),
    category_ids: images.train.categoryIds,
    mean: pixels.mean,
    std: pixels.std,
    eval_crop: pixels.eval_crop,
    data: { ...parts.data, split: pixels.split },
    classes: images.train.isUnnamed ? undefined : images.train.classes,
    threads: device === 'cpu' ? engineInfo().threads : undefined,
    precision: parts.precision,
    exif: pixels.exif,
    grey16: pixels.grey16,
    ...(lineage && { lineage }),
  };
  const auxiliary = parts.auxiliary && weightsOf(parts.auxiliary);
  const content = { ...tensorsOf(parts), auxiliary, manifest: { ...manifest, ...now }, isBest };
  const finish = () => prune(phaseFolder, phase.settings.keep_checkpoints);
  if (bytesOf(content) >= parts.threadBytes) {
    return { point: now, written: saveCheckpointInThread(phaseFolder, step, content).then(finish) };
  }
  saveCheckpoint(phaseFolder, step, content);
  finish();
  return { point: now, written: Promise.resolve() };
}

/** Smaller checkpoints are written in less time than a thread takes to start. */
export const THREAD_BYTES = 2 ** 26;

function bytesOf({ model, optimizer }: { model: Tensors; optimizer: Tensors }): number {
  return [...model.values(), ...optimizer.values()].reduce((sum, { data }) => sum + data.length, 0);
}

/** `model` has the weights that are evaluated and that other phases start from: the averages, if there are any. */
function tensorsOf({ model, optimizer, ema }: Omit<Trained, 'auxiliary'>): {
  model: Tensors;
  optimizer: Tensors;
} {
  const state = optimizer.state();
  if (ema === undefined) return { model: weightsOf(model), optimizer: state };
  for (const [name, weight] of averagedWeights(model)) state.set(RAW + name, weight.toData());
  const updates = ema.state().get(UPDATES);
  if (updates !== undefined) state.set(UPDATES, updates);
  return { model: ema.swapped(() => weightsOf(model)), optimizer: state };
}

function without(tensors: Tensors, isLeftOut: (name: string) => boolean): Tensors {
  return new Map([...tensors].filter(([name]) => !isLeftOut(name)));
}

/** The task and its settings; nothing for classification. */
function ownTask({ taskKind: { name, section }, taskSettings }: Phase): Readonly<Record<string, unknown>> {
  return section === undefined ? {} : { task: name, [name]: taskSettings };
}

/** The blocks of a phase's model whose outputs its decoder reads: the model may be a meta model or a hybrid. */
function ownTaps({ config, depths, target }: Phase): number[] | undefined {
  const taps = tapsOf(config);
  return taps && tapsIn(taps, blockSpans(depths, target));
}
