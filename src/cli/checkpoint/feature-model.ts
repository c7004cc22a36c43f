import { InputError } from '../../base/errors.js';
import type { Dataset } from '../../data/dataset.js';
import type { OpenPartOptions } from '../../data/open/open-dataset.js';
import { passedOverLine } from '../../data/passed-over.js';
import type { SplitChoice } from '../../data/splits.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import { type LoadedModel, loadModel } from '../../launch/start/loaded-model.js';
import { type ModelOfCheckpoint, modelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { taskKind } from '../../tasks/tasks.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { note, noteAssumed } from '../terminal/output.js';
import { openCheckpoint } from './open-checkpoint.js';

export interface FeatureModelOptions {
  readonly recipe?: string;
  readonly set?: readonly string[];
  readonly weights?: WeightsKind;
}

interface FeatureModel {
  readonly checkpoint: CheckpointFile;
  readonly known: ModelOfCheckpoint;
  readonly loaded: LoadedModel;
}

/** The model of a checkpoint whose features are read. It may lack a classifier. */
export async function featureModel(name: string, options: FeatureModelOptions): Promise<FeatureModel> {
  const checkpoint = await openCheckpoint(name, options.weights);
  const { recipe, set: settings = [] } = options;
  const known = modelOfCheckpoint(checkpoint, { recipe, settings, allowsHeadless: true });
  for (const line of known.differences) note(line);
  noteAssumed(known.assumptions);
  const { does, annotations } = taskKind(known.recipe.task);
  if (annotations !== undefined) {
    throw new InputError(`${checkpoint.name} ${does}: its head has no features of an image`, {
      hint: 'use the classifier that it started from',
    });
  }
  return { checkpoint, known, loaded: loadModel(checkpoint, known, note) };
}

/** The part of the data set that `--split` selects. */
export function partOf(
  { manifest, name }: CheckpointFile,
  split: SplitChoice | 'held-out' | undefined,
): Pick<OpenPartOptions, 'split' | 'heldOut'> {
  if (split !== 'held-out') return { split };
  const heldOut = manifest?.data?.split;
  if (heldOut !== undefined) return { heldOut };
  throw new InputError(`--split held-out: ${name} does not record a data.split`, {
    hint: 'Only a run whose recipe has data.split holds out training images: choose --split val or train.',
  });
}

export function notePassedOver(...datasets: readonly Dataset[]): void {
  for (const { passedOver } of datasets) for (const each of passedOver ?? []) note(passedOverLine(each));
}
