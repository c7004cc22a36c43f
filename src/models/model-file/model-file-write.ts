import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { writeJsonAtomic } from '../../files/atomic.js';
import { replaceFile } from '../../files/file-bytes.js';
import { huggingFaceProcessor, type PixelFacts } from '../../weights/layout/layout-processor.js';
import type { Stage } from '../../weights/layout/model-file-stages.js';
import { safetensorsWriter } from '../../weights/safetensors/safetensors.js';
import { type TorchValue, torchFileWriter } from '../../weights/torch-file/torch-file-write.js';
import type { Layout } from '../family.js';
import { toTorchvision } from '../resnet/layout-torchvision.js';
import { huggingFaceConfig } from '../vit/layout-config.js';
import { toHuggingFace } from '../vit/layout-huggingface.js';
import { inOrder } from '../vit/layout-order.js';
import { inferGeometry } from '../vit/weights-geometry.js';
import { CLASS_NAMES } from './model-file-classes.js';
import { joinStages } from './model-file-divide.js';

export interface WriteOptions {
  readonly to: Layout;
  /** Required for `huggingface`: it cannot be inferred from the weights. */
  readonly heads?: number;
  /** Required for `huggingface`. */
  readonly layerNormEps?: number;
  /** The model's pooling, if its weights do not show it: a model with a class token and without `fc_norm` may use either. */
  readonly pool?: 'token' | 'mean' | undefined;
  /** By label. Written to config.json for `huggingface` (default `LABEL_0` and so on), otherwise to the file itself. */
  readonly classNames?: readonly string[] | undefined;
  /** For `huggingface`'s preprocessor_config.json, which is written only if this is given. */
  readonly pixels?: PixelFacts | undefined;
  /** Metadata in the header of a `deep-incubation` file. */
  readonly metadata?: Readonly<Record<string, string>>;
}

type Stages = readonly Stage<TensorData>[];

/** The parameters of the official module itself, in its order. */
const TOKENS = ['cls_token', 'pos_embed', 'dist_token'];

/**
 * Writes a model atomically, in a layout that other programs can load:
 * - `deep-incubation`: safetensors, `stages.<i>.<name>`;
 * - `timm`: safetensors of the undivided model;
 * - `torchvision`: safetensors of an undivided ResNet, `layer1.0.conv1.weight` and so on;
 * - `huggingface`: a folder with `model.safetensors` and the `config.json` of a `ViTForImageClassification` (of a DeiT if
 *   the model has a distillation token), and `preprocessor_config.json` if `pixels` are given;
 * - `official`: a `.pth` as of the official code, with `model` and, in the given stages, `model_stages`.
 *
 * Throws `InputError` if the layout cannot represent the model, an option is missing or the path is not writable,
 * `RunError` if the disk is full.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const tiny = resnet({ imageSize: 16, channels: 3, classes: 2, blocks: [2, 2], widths: [4, 8], shortcut: 'A' });
 * const model = assemble(tiny, divide(4, { modules: 2 }), null, context);
 * const stages = model.stages.map((stage) => weightsOf(stage));
 * writeModelFile('written.safetensors', stages, { to: 'deep-incubation' });
 */
export function writeModelFile(path: string, stages: Stages, options: WriteOptions): void {
  if (options.to === 'huggingface') writeHuggingFace(path, stages, options);
  else replaceFile(path, fileWriter(options.to, path, stages, options));
}

function fileWriter(
  to: Exclude<Layout, 'huggingface'>,
  path: string,
  stages: Stages,
  { metadata, classNames }: WriteOptions,
): (descriptor: number) => void {
  const names = classNames && { [CLASS_NAMES]: JSON.stringify(classNames) };
  switch (to) {
    case 'deep-incubation':
      return safetensorsWriter(divided(stages), { ...metadata, ...names });
    case 'timm':
      return safetensorsWriter(joinStages(stages, path), { format: 'pt', ...names });
    case 'torchvision':
      return safetensorsWriter(toTorchvision(joinStages(stages, path)), { format: 'pt', ...names });
    case 'official':
      return torchFileWriter(officialFile(stages.map(inOrder), classNames));
  }
}

function writeHuggingFace(path: string, stages: Stages, options: WriteOptions): void {
  const { heads, layerNormEps, pool, classNames, pixels } = options;
  if (heads === undefined || layerNormEps === undefined) {
    const missing = heads === undefined ? 'the number of attention heads' : "LayerNorm's epsilon";
    throw new InputError(`${path}: a Hugging Face model needs ${missing}, which its weights do not tell`);
  }
  const geometry = inferGeometry(stages);
  if (!geometry.classToken) {
    throw new InputError(`${path}: a Hugging Face ViT has a class token, this model has none`);
  }
  if (geometry.fcNorm || pool === 'mean') {
    throw new InputError(
      `${path}: a Hugging Face ViT classifies by its class token, this model by the mean`,
      {
        hint: 'convert it --to timm, or export it as ONNX',
      },
    );
  }
  if (geometry.width % heads !== 0) {
    throw new InputError(`${path}: the width ${geometry.width} cannot be split into ${heads} heads`);
  }
  const model = joinStages(stages);
  const tensors = toHuggingFace(model);
  const hasTwoHeads = model.has('head_dist.weight');
  const config = huggingFaceConfig(geometry, { heads, layerNormEps, hasTwoHeads, classNames });
  // The weights are written last: a folder that has them is complete.
  writeJsonAtomic(join(path, 'config.json'), config);
  if (pixels !== undefined) {
    writeJsonAtomic(join(path, 'preprocessor_config.json'), huggingFaceProcessor(geometry, pixels));
  }
  replaceFile(join(path, 'model.safetensors'), safetensorsWriter(tensors, { format: 'pt' }));
}

function divided(stages: Stages): Map<string, TensorData> {
  return new Map(
    stages.flatMap((stage, i) =>
      [...stage].map(([name, tensor]) => [`stages.${i}.${name}`, tensor] as const),
    ),
  );
}

/**
 * The content of the official code's file for a model in stages. `model` has every tensor twice, as in the official
 * module: tokens, the stages, then the undivided model.
 */
export function officialFile(
  stages: Stages,
  classNames?: readonly string[],
): ReadonlyMap<string, TorchValue> {
  const whole = joinStages(stages);
  const tokens = TOKENS.flatMap((name) => {
    const tensor = whole.get(name);
    return tensor ? [[name, tensor] as const] : [];
  });
  // A name that occurs twice keeps its first position.
  const model = new Map([...tokens, ...divided(stages), ...whole]);
  return new Map<string, TorchValue>([
    ['model', { ordered: model }],
    ['model_stages', stages.map((stage) => ({ ordered: stage }))],
    ...(classNames === undefined ? [] : [[CLASS_NAMES, classNames] as const]),
  ]);
}
