import type { TensorData } from '../base/tensor-data.js';
import type { PixelFacts } from '../weights/layout/layout-processor.js';
import type { LazyTensor } from '../weights/lazy-tensor.js';

/**
 * Naming scheme of the tensors: that of the official code (`stages.0.blocks.0...` and a second name for each, or a list of
 * stages), timm and DeiT (`blocks.0...`), torchvision and other programs with ResNets (`layer1.0...`), Hugging Face
 * (`vit.encoder.layer.0...`), or this program (`stages.0.blocks.0...`).
 */
export type Layout = 'official' | 'timm' | 'huggingface' | 'torchvision' | 'deep-incubation';

/** Key of the list of class names in a `.pth`, and (as JSON) in a safetensors header and in an ONNX model's metadata. */
export const CLASS_NAMES = 'class_names';

/** Properties of a model that its weights do not show, so they are stored next to them. */
export interface StatedModel {
  readonly heads?: number | undefined;
  readonly layerNormEps?: number | undefined;
  readonly pool?: 'token' | 'mean' | undefined;
  /** Whether the final norm follows the pooling. */
  readonly fcNorm?: boolean | undefined;
  /** The keys of a user's own family. */
  readonly own?: Readonly<Record<string, unknown>> | undefined;
}

/** Facts about a model from the files next to its weights, which may not be inferable from the weights. */
export interface ModelHints {
  readonly heads?: number;
  readonly layerNormEps?: number;
  /** Pixels per side. */
  readonly imageSize?: number;
  readonly classes?: number;
  /** Per channel, for pixels from 0 to 1. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  /** Fraction of the resized shorter side that the evaluation crop keeps. */
  readonly evalCrop?: number;
  /** Input of the head, if the weights do not show it. */
  readonly pool?: 'token' | 'mean';
  /** The file and its settings for resizing or cropping in evaluation, if they differ from this program's. */
  readonly otherResize?: string;
}

/** What a layout can store besides the weights. */
export interface LayoutFacts {
  /** What is written, for messages. Default: the path of the new file. */
  readonly source?: string | undefined;
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
}

/** What a layout's `config.json` next to the weights describes. */
export interface ConfigFacts extends StatedModel {
  readonly classNames: readonly string[];
  /** Normalisation and crop of the pixels, if they are known. */
  readonly pixels?:
    | { readonly mean: readonly number[]; readonly std: readonly number[]; readonly cropShare: number }
    | undefined;
  /** Name of the weights file, in the config's folder. */
  readonly weightsFile: string;
}

/** How to load a model in Python, for its card. */
export interface PythonUse {
  /** Lines that import what they need, except torch, and assign `model`. */
  readonly lines: readonly string[];
  /** What follows `model(pixels)` to get the logits. */
  readonly logits: string;
}

type Stages<T> = readonly ReadonlyMap<string, T>[];

/** How another program names a family's tensors. */
export interface ForeignLayout<Config = unknown> {
  readonly name: Exclude<Layout, 'deep-incubation'>;
  /** The program that loads the weights, as the hub names it. */
  readonly library: string;
  /** Whether a file can have the model in several stages. */
  readonly isDivided: boolean;
  /** Whether the model is a folder, with a `config.json` that describes it. */
  readonly isFolder: boolean;
  /** When the layout stores facts that the weights do not show. */
  readonly storesFacts: 'always' | 'with class names' | 'never';

  /** Whether a state dict with these names has the layout. */
  recognises(names: readonly string[]): boolean;
  /**
   * The stages, with this program's names. `leftOut`: tensors that a classifier does not use.
   * @throws InputError naming a tensor that the model does not have
   */
  read(
    state: ReadonlyMap<string, LazyTensor>,
    path: string,
  ): { readonly stages: Stages<LazyTensor>; readonly leftOut: readonly string[] };
  /** Whether a file with a list of stages has the tensor only in its undivided copy of the model. */
  readonly isOutsideStages?: (name: string) => boolean;
  /** Facts from the files in the folder of the weights. */
  readonly hintsIn?: (folder: string) => ModelHints;
  /** @throws InputError if the layout cannot represent the model, or a fact is missing */
  write(path: string, stages: Stages<TensorData>, facts: LayoutFacts): void;
  /** The content of a `config.json` next to a file of weights. */
  readonly configOf?: (stages: Stages<TensorData>, facts: ConfigFacts) => Readonly<Record<string, unknown>>;
  /** What a user of the written file must know, such as a setting that neither the weights nor the layout show. */
  readonly noteOn?: (stages: Stages<TensorData>, stated: StatedModel) => string | undefined;
  usage?(config: Config, file: string): PythonUse;
}
