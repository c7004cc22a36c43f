import { InputError } from '../../base/errors.js';
import { inferGeometry } from '../../checkpoint/model-file/model-file-geometry.js';
import { type CheckpointFileOptions, readCheckpointFile } from '../checkpoint-file.js';
import { phasesOf } from '../phases.js';
import { metaDepthsOf, targetDepths, vitConfigOf } from '../recipe/recipe-model.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { requireTeacher } from '../teacher.js';

/**
 * Reads the weights that a recipe starts from or learns from, before hours are spent on what comes before them.
 * @throws InputError where one is missing or does not fit the recipe's model
 */
export async function checkStart(recipe: Recipe, options: CheckpointFileOptions = {}): Promise<void> {
  const { meta, model } = recipe.start;
  if (meta !== undefined) await requireFits('start.meta', meta, metaDepthsOf(recipe), recipe, options);
  if (model !== undefined) await requireFits('start.model', model, targetDepths(recipe), recipe, options);
  const teachers = phasesOf(recipe).flatMap(({ settings }) => settings.distill?.teacher ?? []);
  for (const teacher of new Set(teachers)) await requireTeacher(teacher, recipe, options);
}

async function requireFits(
  key: string,
  name: string,
  depths: readonly number[],
  recipe: Recipe,
  options: CheckpointFileOptions,
): Promise<void> {
  const { file } = await readCheckpointFile(name, options);
  const found = inferGeometry(file.stages, name);
  const wanted = vitConfigOf(recipe);
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  const rows: [what: string, has: unknown, needs: unknown][] = [
    ['blocks', sum(found.depths), sum(depths)],
    ['width', found.width, wanted.width],
    ['patch size', found.patchSize, wanted.patchSize],
    ['channels', found.channels, wanted.channels],
    ...(recipe.start.head === 'keep'
      ? [['classes', found.classes, wanted.classes] as [string, number, number]]
      : []),
  ];
  const wrong = rows.find(([, has, needs]) => has !== needs);
  if (wrong === undefined) return;
  const [what, has, needs] = wrong;
  throw new InputError(`${key} ${name}: ${what} ${has}, the recipe's model has ${needs}`, {
    hint:
      what === 'classes'
        ? 'set start.head to new, and the head is trained anew for the classes of the recipe'
        : 'give weights of the model that the recipe describes: compare with `deep-incubation inspect`',
  });
}
