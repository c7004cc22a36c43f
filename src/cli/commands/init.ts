import { existsSync, writeFileSync } from 'node:fs';
import { InputError } from '../../base/errors.js';
import { dataFormatOf } from '../../data/open/open-dataset.js';
import { withFileErrors } from '../../files/file-errors.js';
import { findImages, initialRecipe, recipeName, requirePlannable } from '../../launch/initial-recipe.js';
import { taskOfFormat } from '../../tasks/tasks.js';
import { note, print } from '../terminal/output.js';

interface InitOptions {
  readonly out?: string;
  readonly print?: true;
}

/** `init`: writes a first recipe for the images in a folder. */
export async function init(folder: string, options: InitOptions): Promise<void> {
  const out = options.out ?? `${recipeName(folder)}.yaml`;
  if (!options.print && existsSync(out)) throw exists(out);
  requireClasses(folder);
  const found = await findImages(folder);
  const text = initialRecipe(found);
  requirePlannable(text, out);
  if (options.print) return print(text.trimEnd());
  withFileErrors(out, () => writeFileSync(out, text, { flag: 'wx' }));
  const { classes, trainImages, valImages, isSplit } = found;
  const count = (value: number) => value.toLocaleString('en-US');
  print(
    `${out}: ${classes.length} classes, ${count(trainImages)} images for training, ${count(valImages)} for evaluation${isSplit ? ' (held out: data.split)' : ''}`,
  );
  note(`next: npx deep-incubation plan ${out}`);
}

/** @throws InputError if the images have annotations instead of one class each */
function requireClasses(folder: string): void {
  const kind = existsSync(folder) ? taskOfFormat(dataFormatOf(folder)) : undefined;
  if (kind?.annotations === undefined) return;
  const { name, page } = kind.annotations;
  throw new InputError(`${folder} has ${name}, and init writes recipes for classification`, {
    hint: `write a recipe with task: ${kind.name}: see ${page}`,
  });
}

function exists(out: string): InputError {
  return new InputError(`${out}: the recipe exists`, {
    hint: 'Choose another file with --out, or use --print.',
  });
}
