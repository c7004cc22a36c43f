import { existsSync } from 'node:fs';
import { basename, dirname, join, parse } from 'node:path';
import { elementCount } from '../../base/tensor-data.js';
import { writeFileAtomic } from '../../files/atomic.js';
import { recipeOfRun } from '../../phase/run-recipe.js';
import { classesOf, runAbove } from '../../phase/start/checkpoint-classes.js';
import type { CheckpointFile } from '../../phase/start/checkpoint-file.js';
import { vitConfigOf } from '../../recipe/recipe-model.js';
import { modelCard } from '../../report/model-card.js';
import { phasesIn, readResult } from '../../run/run-folder.js';
import type { Layout } from '../../weights/layout/layout-stages.js';
import { inferGeometry } from '../../weights/layout/model-file-geometry.js';

interface CardOptions {
  readonly to: Layout;
  /** Of the images that the weights written are for. */
  readonly imageSize: number;
  readonly isResized: boolean;
  readonly force: boolean;
  /** By label. Default: those that the checkpoint names. */
  readonly classNames?: readonly string[] | undefined;
}

/**
 * Writes the model card of weights that come from a run: README.md in a model's folder, NAME.README.md beside a file.
 * Nothing where no run is known. A file that is there is left as it is, unless forced.
 */
export function writeCard(
  checkpoint: CheckpointFile,
  out: string,
  { to, imageSize, isResized, force, classNames }: CardOptions,
): { readonly path: string; readonly isWritten: boolean } | undefined {
  const { file, manifest } = checkpoint;
  const root = runAbove(file.path);
  if (to === 'official' || manifest === undefined || root === undefined) return undefined;
  const isFolder = to === 'huggingface';
  const path = isFolder ? join(out, 'README.md') : join(dirname(out), `${parse(out).name}.README.md`);
  if (existsSync(path) && !force) return { path, isWritten: false };
  const { depths } = inferGeometry(file.stages, file.path);
  const tensors = file.stages.flatMap((stage) => [...stage.values()]);
  const { phase, step, seed, mean, std, eval_crop: evalCrop, last } = manifest;
  const recipe = recipeOfRun(root);
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
    config: { ...vitConfigOf(recipe), depth: depths.reduce((a, b) => a + b, 0), imageSize },
    classNames: classNames ?? classesOf(checkpoint)?.names,
    scores: isJudged ? last : undefined,
    file: isFolder ? undefined : basename(out),
    parameters: tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0),
    results: phasesIn(root).flatMap((each) => readResult(root, each) ?? []),
  });
  writeFileAtomic(path, card);
  return { path, isWritten: true };
}
