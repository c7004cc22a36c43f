import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { replaceFile } from '../../files/file-bytes.js';
import { dividedNames, type StageTensors } from '../../weights/layout/model-file-stages.js';
import { safetensorsWriter } from '../../weights/safetensors/safetensors.js';
import { divideBy, joinBy } from '../divide-stages.js';
import { familyOfStages } from '../families/families.js';
import type { ModelFamily } from '../family.js';
import { CLASS_NAMES, type Layout, type LayoutFacts } from '../layout.js';

export interface WriteOptions extends LayoutFacts {
  readonly to: Layout;
  /** Metadata in the header of a `deep-incubation` file. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Default: recognised by the names of the tensors. */
  readonly family?: ModelFamily;
}

type Stages = readonly StageTensors<TensorData>[];

/**
 * Writes a model atomically, in a layout that other programs can load:
 * - `deep-incubation`: safetensors, `stages.<i>.<name>`;
 * - `timm`: safetensors of the undivided model;
 * - `torchvision`: safetensors of an undivided ResNet, `layer1.0.conv1.weight` and so on;
 * - `huggingface`: a folder with `model.safetensors` and the `config.json` of a `ViTForImageClassification` (of a DeiT if
 *   the model has a distillation token), and `preprocessor_config.json` if `pixels` are given;
 * - `official`: a `.pth` as of the official code, with `model` and, in the given stages, `model_stages`.
 *
 * @throws InputError if the layout cannot represent the model, an option is missing or the path is not writable
 * @throws RunError if the disk is full
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const stages = model.stages.map((stage) => weightsOf(stage));
 * writeModelFile('written.safetensors', stages, { to: 'deep-incubation' });
 */
export function writeModelFile(path: string, stages: Stages, options: WriteOptions): void {
  const { to, metadata, family = familyOfStages(stages), ...facts } = options;
  const { classNames } = facts;
  if (to === 'deep-incubation') {
    const names = classNames && { [CLASS_NAMES]: JSON.stringify(classNames) };
    replaceFile(path, safetensorsWriter(dividedNames(stages), { ...metadata, ...names }));
    return;
  }
  const layout = family.layouts.find(({ name }) => name === to);
  if (layout === undefined) throw new InputError(`${path}: ${to} has no ${family.title}`);
  layout.write(path, stages, facts);
}

/**
 * Divides a model into stages of other depths, without changing its tensors: the stem is in the first stage, the head in the
 * last, and blocks are numbered from 0 in each. With one depth, the model is undivided.
 * @param family default: recognised by the names of the tensors
 * @throws InputError naming `source` if the depths do not add up to the model's blocks, or a tensor belongs to no stage
 *
 * @example
 * const { stages } = await readModelFile('model.safetensors');
 * const whole = divideStages(stages, [4]);
 * whole.length; // 1
 */
export function divideStages<T>(
  stages: readonly StageTensors<T>[],
  depths: readonly number[],
  source = 'the model',
  family: Pick<ModelFamily, 'endOf'> = familyOfStages(stages),
): StageTensors<T>[] {
  return divideBy(family.endOf, stages, depths, source);
}

/** Joins the stages to an undivided model. */
export function joinStages<T>(
  stages: readonly StageTensors<T>[],
  source = 'the model',
  family: Pick<ModelFamily, 'endOf'> = familyOfStages(stages),
): StageTensors<T> {
  return joinBy(family.endOf, stages, source);
}
