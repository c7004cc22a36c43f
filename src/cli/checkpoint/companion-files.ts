import { existsSync } from 'node:fs';
import { basename, dirname, join, parse } from 'node:path';
import { writeFileAtomic, writeJsonAtomic } from '../../files/atomic.js';
import { recipeOfRun } from '../../launch/run-recipe.js';
import { classesOf, runAbove } from '../../launch/start/checkpoint-classes.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import type { ModelFamily, ModelSection, WeightsFacts } from '../../models/family.js';
import type { ForeignLayout } from '../../models/layout.js';
import { modelCard } from '../../report/model-card.js';
import { phasesIn, readResult } from '../../run/run-folder.js';
import { countParameters } from '../../weights/count-parameters.js';

interface CardOptions {
  readonly family: ModelFamily;
  /** Undefined for this program's own. */
  readonly layout: ForeignLayout | undefined;
  /** Of the written weights. */
  readonly facts: WeightsFacts;
  readonly isResized: boolean;
  readonly force: boolean;
  /** Class names by label. Default: the names in the checkpoint. */
  readonly classNames?: readonly string[] | undefined;
}

/**
 * Writes the model card of weights that come from a run: README.md in a model folder, NAME.README.md next to a file. Returns
 * undefined if the run is unknown or no card is written for the layout. Keeps an existing file unless `force` is set.
 */
export function writeCard(
  checkpoint: CheckpointFile,
  out: string,
  { family, layout, facts, isResized, force, classNames }: CardOptions,
): { readonly path: string; readonly isWritten: boolean } | undefined {
  const { file, manifest } = checkpoint;
  const root = runAbove(file.path);
  if (layout?.isDivided || manifest === undefined || root === undefined) return undefined;
  const recipe = recipeOfRun(root);
  const isFolder = layout?.isFolder ?? false;
  const path = isFolder ? join(out, 'README.md') : join(dirname(out), `${parse(out).name}.README.md`);
  if (existsSync(path) && !force) return { path, isWritten: false };
  const { depths, imageSize = recipe.model.image_size } = facts;
  const section = { ...family.sectionOfStages(recipe.model, facts), image_size: imageSize };
  const { phase, step, seed, mean, std, eval_crop: evalCrop, last } = manifest;
  const isEvaluated = last?.step === step && !isResized;
  const card = modelCard({
    recipe,
    seed,
    phase,
    step,
    family,
    layout,
    depths,
    mean,
    std,
    evalCrop,
    config: family.configOf(section as ModelSection, recipe.name),
    classNames: classNames ?? classesOf(checkpoint)?.names,
    scores: isEvaluated ? last : undefined,
    file: isFolder ? undefined : basename(out),
    parameters: countParameters(file.stages),
    results: phasesIn(root).flatMap((each) => readResult(root, each) ?? []),
  });
  writeFileAtomic(path, card);
  return { path, isWritten: true };
}

/** Writes a `config.json` next to the weights `out`. Keeps an existing file unless `force` is set. */
export function writeLayoutConfig(
  out: string,
  config: object,
  force: boolean,
): { readonly path: string; readonly isWritten: boolean } {
  const path = join(dirname(out), 'config.json');
  if (existsSync(path) && !force) return { path, isWritten: false };
  writeJsonAtomic(path, config);
  return { path, isWritten: true };
}
