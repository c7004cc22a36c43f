import { existsSync } from 'node:fs';
import { basename, dirname, join, parse } from 'node:path';
import { writeFileAtomic } from '../../files/atomic.js';
import { recipeOfRun } from '../../launch/run-recipe.js';
import type { Layout } from '../../models/family.js';
import { vitConfigOf } from '../../models/vit/section.js';
import { inferGeometry } from '../../models/vit/weights-geometry.js';
import { classesOf, runAbove } from '../../phase/start/checkpoint-classes.js';
import type { CheckpointFile } from '../../phase/start/checkpoint-file.js';
import { modelCard } from '../../report/model-card.js';
import { phasesIn, readResult } from '../../run/run-folder.js';
import { countParameters } from '../../weights/count-parameters.js';

interface CardOptions {
  readonly to: Layout;
  /** Image size of the written weights. */
  readonly imageSize: number;
  readonly isResized: boolean;
  readonly force: boolean;
  /** Class names by label. Default: the names in the checkpoint. */
  readonly classNames?: readonly string[] | undefined;
}

/**
 * Writes the model card of weights that come from a run: README.md in a model folder, NAME.README.md next to a file. Returns
 * undefined if the run is unknown or no card is written for this model or layout. Keeps an existing file unless `force` is set.
 */
export function writeCard(
  checkpoint: CheckpointFile,
  out: string,
  { to, imageSize, isResized, force, classNames }: CardOptions,
): { readonly path: string; readonly isWritten: boolean } | undefined {
  const { file, manifest } = checkpoint;
  const root = runAbove(file.path);
  if (to === 'official' || manifest === undefined || root === undefined) return undefined;
  const recipe = recipeOfRun(root);
  if (recipe.model.family === 'resnet') return undefined;
  const isFolder = to === 'huggingface';
  const path = isFolder ? join(out, 'README.md') : join(dirname(out), `${parse(out).name}.README.md`);
  if (existsSync(path) && !force) return { path, isWritten: false };
  const { depths } = inferGeometry(file.stages, file.path);
  const { phase, step, seed, mean, std, eval_crop: evalCrop, last } = manifest;
  const isJudged = last?.step === step && !isResized;
  const card = modelCard({
    recipe,
    seed,
    phase,
    step,
    layout: to,
    depths,
    mean,
    std,
    evalCrop,
    config: {
      ...vitConfigOf(recipe.model, recipe.name),
      depth: depths.reduce((a, b) => a + b, 0),
      imageSize,
    },
    classNames: classNames ?? classesOf(checkpoint)?.names,
    scores: isJudged ? last : undefined,
    file: isFolder ? undefined : basename(out),
    parameters: countParameters(file.stages),
    results: phasesIn(root).flatMap((each) => readResult(root, each) ?? []),
  });
  writeFileAtomic(path, card);
  return { path, isWritten: true };
}
