import { InputError } from '../base/errors.js';
import { type Dataset, decodedAs } from '../data/dataset.js';
import { evalBatches } from '../data/loader/loader.js';
import { withModelLabels } from '../data/model-labels.js';
import { evalTransform } from '../data/transforms/transform.js';
import { classesOf } from '../launch/start/checkpoint-classes.js';
import { readCheckpointFile } from '../launch/start/checkpoint-file.js';
import { modelOfCheckpoint } from '../launch/start/model-of-checkpoint.js';
import { assemble } from '../method/assemble.js';
import { familyOf } from '../models/families/families.js';
import type { ModelFamily } from '../models/family.js';
import { requireFinite } from '../models/model-file/non-finite.js';
import { blueprintOf, modelConfigOf } from '../recipe/recipe-model.js';
import { taskOf } from '../recipe/task-of.js';
import { taskKind } from '../tasks/tasks.js';
import { openDevice } from '../torch/engine.js';
import { Generator } from '../torch/random.js';
import { type Evaluation, evaluate } from '../training/evaluate.js';
import type { WeightsKind } from '../weights/layout/weights-choice.js';

export interface EvaluateCheckpointOptions {
  /** Labelled images, such as `openDataset({ ... }).val`. */
  readonly dataset: Dataset;
  /** Your own families of models. */
  readonly families?: readonly ModelFamily[];
  /** Default 50. */
  readonly batchSize?: number;
  /** `cpu`, `cuda`, `cuda:<n>`, or `auto` (the default). */
  readonly device?: string;
  /** Plain or averaged weights, if the checkpoint has both. Default: averaged. */
  readonly weights?: WeightsKind;
  /** Called with notes for the user: the checkpoint that was chosen, and assumptions. */
  readonly note?: (line: string) => void;
}

/**
 * Evaluates a checkpoint, as the command `eval`: a run (its result), a phase's folder, `best` or `latest` in it, or a file of
 * weights. Images are decoded, cropped and normalised as its manifest states. If the checkpoint names its classes, each image gets
 * the label of its class's name.
 *
 * @throws InputError if the checkpoint is missing or damaged, its family is unknown, or it has other classes than the images
 * @throws RunError if a download fails
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * await runRecipe({ recipe, runDir: 'runs/evaluated', device: 'cpu' });
 * const { val } = openDataset({ format: 'folder', path: 'images' });
 * const { loss, images } = await evaluateCheckpoint('runs/evaluated', { dataset: val, device: 'cpu' });
 * console.log(loss, images);
 */
export async function evaluateCheckpoint(
  name: string,
  options: EvaluateCheckpointOptions,
): Promise<Evaluation> {
  const { batchSize = 50, families, weights, note = () => {} } = options;
  const checkpoint = await readCheckpointFile(name, { families, weights, note });
  requireFinite(checkpoint.file.stages, checkpoint.name);
  const { recipe, depths, assumptions } = modelOfCheckpoint(checkpoint, { settings: [] });
  for (const text of assumptions) note(`assumed: ${text}`);
  const { does, annotations } = taskKind(recipe.task);
  if (annotations !== undefined) {
    throw new InputError(`${checkpoint.name} ${does}, and evaluateCheckpoint() evaluates classifiers`, {
      hint: `the command eval evaluates it: see ${annotations.page}`,
    });
  }
  const config = modelConfigOf(recipe);
  const classes = classesOf(checkpoint);
  const labelled = labelledBy(options.dataset, classes, {
    name: checkpoint.name,
    count: config.classes,
    note,
  });
  const device = openDevice(options.device ?? 'auto');
  const { eval_crop: crop } = recipe.data;
  const { stages } = familyOf(recipe.model).fit(checkpoint.file.stages, config, checkpoint.name);
  const given = stages.map((each) => ({ weights: each, source: checkpoint.name }));
  const context = { device, dtype: 'F32', generator: new Generator() } as const;
  const model = assemble(blueprintOf(recipe), depths, given, context);
  const task = taskOf(recipe, config, device);
  const transform = evalTransform(config.imageSize, crop);
  const dataset = decodedAs(labelled, recipe.data);
  const scores = await evaluate({
    model,
    task,
    batches: evalBatches({ dataset, batchSize, transform }),
    device,
  });
  model.free();
  return scores;
}

/** The images with the labels of the checkpoint's class names. */
function labelledBy(
  dataset: Dataset,
  classes: ReturnType<typeof classesOf>,
  { name, count, note }: { name: string; count: number; note: (line: string) => void },
): Dataset {
  if (classes === undefined) {
    if (dataset.classes.length !== count) {
      throw new InputError(`${name} has ${count} classes, but the images have ${dataset.classes.length}`, {
        hint: 'use images of the classes that it was trained on',
      });
    }
    note(`assumed: the labels of the images are those of ${name}, which does not name its classes`);
    return dataset;
  }
  if (dataset.isUnnamed) return dataset;
  const model = {
    count,
    named: { names: classes.names, from: classes.from },
    isCertain: classes.isOurs,
    whatToDo: 'Use images of the classes that it was trained on.',
  };
  const labelled = withModelLabels(dataset, model, 'the images');
  for (const text of labelled.assumptions) note(`assumed: ${text}`);
  return labelled.dataset;
}
