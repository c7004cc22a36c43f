import { InputError } from '../../base/errors.js';
import { familiesIn, familyOf, familyOfStages } from '../../models/families/families.js';
import type { ModelFamily } from '../../models/family.js';
import type { CheckpointFile } from './checkpoint-file.js';

/**
 * The family of a checkpoint's model: that of its manifest; without one, the one that recognises the names of the tensors.
 * @throws InputError if the manifest states a user's own family and the caller does not know it
 */
export function familyOfCheckpoint({
  file,
  manifest,
}: Pick<CheckpointFile, 'file' | 'manifest'>): ModelFamily {
  if (manifest?.model.family === undefined) return familyOfStages(file.stages);
  try {
    return familyOf(manifest.model, familiesIn(manifest.model));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(
      `${file.path}: its model is of the family ${String(manifest.model.family)}, which is not built in`,
      { hint: OWN_FAMILY },
    );
  }
}

const OWN_FAMILY =
  'the commands know only the built-in families; use the program that defines this one: runRecipe, redoPhase and ' +
  'evaluateCheckpoint, see docs/own-model.md';
