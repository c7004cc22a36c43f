import { z } from 'zod';
import {
  type Checkpoint,
  latestCheckpoint,
  prune,
  readCheckpoint,
  saveCheckpoint,
  setBest,
} from '../checkpoint/checkpoint-store.js';
import type { EvalRecord } from '../checkpoint/records.js';
import type { StagedModel } from '../models/staged.js';
import { weightsOf } from '../nn/weights.js';
import type { Optimizer } from '../training/optimizer.js';
import type { Log } from './phase-log.js';
import type { Phase } from './phases.js';
import type { Recipe } from './recipe-schema.js';

/** How far a phase is: what a checkpoint holds beside the tensors. */
export interface Standing {
  readonly step: number;
  /** Of training, evaluation left out. */
  readonly seconds: number;
  /** The last evaluation. */
  readonly last: EvalRecord | undefined;
  /** Top-1 of the checkpoint that `best` points to. */
  readonly best: number | undefined;
}

const standingSchema = z.object({
  step: z.int(),
  seconds: z.number(),
  last: z.custom<EvalRecord>().optional(),
  best: z.number().optional(),
});

const KEPT = 1;

/** The newest whole checkpoint of a phase; those passed over are logged. */
export function findCheckpoint(phaseFolder: string, log: Log): Checkpoint | undefined {
  const { checkpoint, skipped } = latestCheckpoint(phaseFolder);
  for (const { folder, reason } of skipped) log(`passed over checkpoint ${folder}: ${reason}`);
  return checkpoint;
}

/** Puts the optimiser where it was, and tells how far the phase is. */
export function resume(checkpoint: Checkpoint | undefined, optimizer: Optimizer): Standing {
  if (checkpoint === undefined) return { step: 0, seconds: 0, last: undefined, best: undefined };
  optimizer.load(readCheckpoint(checkpoint).optimizer);
  const { step, seconds, last, best } = standingSchema.parse(checkpoint.manifest);
  return { step, seconds, last, best };
}

/** Saves model, optimiser and standing; the best by top-1 and the newest are kept. */
export function save(
  phaseFolder: string,
  parts: {
    readonly recipe: Recipe;
    readonly phase: Phase;
    readonly model: StagedModel;
    readonly optimizer: Optimizer;
  },
  standing: Standing,
): Standing {
  const { recipe, phase, model, optimizer } = parts;
  const { step, last } = standing;
  const isBest = last?.step === step && last.top1 > (standing.best ?? Number.NEGATIVE_INFINITY);
  const now = isBest ? { ...standing, best: last.top1 } : standing;
  const { seed, model: geometry, data } = recipe;
  // With the geometry, a checkpoint is enough to evaluate from.
  const manifest = {
    phase: phase.name,
    seed,
    depths: phase.depths,
    model: geometry,
    mean: data.mean,
    std: data.std,
  };
  saveCheckpoint(phaseFolder, step, {
    model: weightsOf(model),
    optimizer: optimizer.state(),
    manifest: { ...manifest, ...now },
  });
  if (isBest) setBest(phaseFolder, step);
  prune(phaseFolder, KEPT);
  return now;
}
