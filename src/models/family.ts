import type { z } from 'zod';
import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import type { Graph, GraphOptions } from '../onnx/graph.js';
import type { EndOf } from '../weights/layout/model-file-stages.js';
import type { LazyTensor } from '../weights/lazy-tensor.js';
import type { ForeignLayout, StatedModel } from './layout.js';
import type { Blueprint } from './staged.js';

/** The keys of the recipe's section `model` that all families share. */
export interface ModelSection {
  /** Default: the first of src/models/families. */
  readonly family?: string | undefined;
  /** Side of the images, in pixels. */
  readonly image_size: number;
  readonly channels: number;
  readonly classes: number;
  /** The last projection of each branch starts at zero. Recipes of earlier versions do not have it. */
  readonly zero_init?: boolean | undefined;
  /** The initial value of LayerScale, in families that have it. */
  readonly layer_scale?: number | undefined;
}

/** The geometry that all families have in common. */
export interface ModelConfig {
  /** Side of the images, in pixels. */
  readonly imageSize: number;
  readonly channels: number;
  readonly classes: number;
}

/** Facts that can be read from the shapes of weights. */
export interface WeightsFacts {
  /** Number of blocks in each stage. */
  readonly depths: readonly number[];
  readonly channels: number;
  /** Null if the weights have no head. */
  readonly classes: number | null;
  /** Side of the images, in pixels. Absent if the weights do not show it. */
  readonly imageSize?: number;
}

/** A setting that a checkpoint does not state, and a description of the value that is assumed. */
export interface Assumption {
  readonly key: string;
  readonly text: string;
}

/** The section `model` for weights that come without a recipe. */
export interface AssumedSection {
  readonly section: Readonly<Record<string, unknown>>;
  readonly assumed: readonly Assumption[];
}

/** A key of the section that weights may state. */
export interface StatedKey {
  readonly key: string;
  /** The value that the weights state. */
  readonly value: unknown;
  /** The value that the recipe uses. */
  readonly used: unknown;
  /** Whether the stated value is filled in if the recipe does not have the key. */
  readonly isFilled: boolean;
}

/** Weights whose head is not used. */
export interface Headless {
  readonly stages: readonly ReadonlyMap<string, TensorData>[];
  /** Parameters that are initialised instead. */
  readonly isFresh: (name: string) => boolean;
  readonly leftOut: readonly string[];
}

type Shaped = { readonly shape: readonly number[] };
type Stages<T> = readonly ReadonlyMap<string, T>[];

/**
 * Everything that belongs to one kind of model. To add a kind, export such a value from a new folder in src/models and list it
 * in src/models/families.
 */
export interface ModelFamily<
  Section extends ModelSection = ModelSection,
  Config extends ModelConfig = ModelConfig,
  Facts extends WeightsFacts = WeightsFacts,
> {
  /** The value of `model.family`. */
  readonly name: string;
  /** For messages: `vision transformer`. */
  readonly title: string;
  /** The section `model` of a recipe; its key `family` is the name. */
  readonly section: z.ZodObject;

  /**
   * Checks combinations of keys.
   * @param source for messages
   * @throws InputError naming the keys that cannot be combined
   */
  check(section: Section, source: string): void;
  /** @throws InputError if a key is missing, or sizes do not match */
  configOf(section: Section, source: string): Config;
  blueprint(config: Config): Blueprint;
  /** The geometry that two runs must have in common to share modules: all but the number of blocks, if all blocks are equal. */
  identity(config: Config): Readonly<Record<string, unknown>>;
  /** The geometry for results, with the keys of a recipe. */
  describe(config: Config): Readonly<Record<string, unknown>>;

  /** The properties that a file of weights must state in addition to the weights. */
  statedBy(config: Config): StatedModel;
  /** The names that other programs give to the tensors; the first layout is the most common. */
  readonly layouts: readonly ForeignLayout<Config>[];
  /** Matches the name of a tensor that a model has exactly once; its first group is the prefix of the model's names. */
  readonly anchor?: RegExp;
  readonly endOf: EndOf;
  /** `endOf`, if the names depend on the geometry. */
  endOfParts?(config: Config): EndOf;
  /** Joins tensors of one stage that a file has in parts, such as query, key and value. */
  readonly joined?: (stage: ReadonlyMap<string, LazyTensor>, path: string) => ReadonlyMap<string, LazyTensor>;
  /**
   * The evaluation pass as an ONNX graph (operator set 17), float32: `pixels` [batch, channels, S, S] -> `logits` [batch, classes].
   * @param weights of the undivided model, any dtype; converted one at a time, when the graph is written
   * @param source origin of the weights, for messages
   * @throws InputError if a weight is missing, unexpected, or has another shape
   */
  onnxGraph?(
    config: Config,
    weights: ReadonlyMap<string, TensorData>,
    source: string,
    options?: GraphOptions,
  ): Graph;
  /** For the model card. */
  readonly card: {
    /** With an article: `a Vision Transformer`. */
    readonly kind: string;
    readonly tags: readonly string[];
  };

  /** Whether tensors with these names are a model of the family. */
  recognises(names: Iterable<string>): boolean;
  /**
   * @param stated a section `model` that describes the weights, if there is one
   * @throws InputError naming the tensors that are missing or contradict each other
   */
  factsOf(stages: Stages<Shaped>, source: string, stated?: Readonly<Record<string, unknown>>): Facts;
  /** Pairs of what the weights have and what the model needs, in the order in which differences are reported. */
  compare(
    facts: Facts,
    config: Config,
    options: { readonly keepsHead: boolean; readonly isMeta: boolean },
  ): readonly (readonly [what: string, has: unknown, needs: unknown])[];
  /** The section for one of a run's checkpoints, which may be a meta model or a hybrid, from the run's section. */
  sectionOfStages(
    section: Readonly<Record<string, unknown>>,
    facts: Facts,
  ): Readonly<Record<string, unknown>>;
  /**
   * The modules of the whole model, if `sectionOfStages` returns its section also for a meta model or a hybrid with these
   * depths. Default: the depths themselves.
   */
  modulesOf?(section: Readonly<Record<string, unknown>>, depths: readonly number[]): readonly number[];
  /** The section for weights of unknown origin. `leftOut`: names of tensors in the file that no classifier uses. */
  assumedSection(facts: Facts, stated: StatedModel, leftOut: readonly string[]): AssumedSection;
  /** The properties that a run's section states. */
  statedIn(section: Readonly<Record<string, unknown>>): StatedModel;
  statedKeys(section: Section, config: Config, stated: StatedModel): readonly StatedKey[];
  /** @throws InputError if a checkpoint's section lacks properties that its weights do not show */
  requireKnown(section: Readonly<Record<string, unknown>>, facts: Facts, source: string): void;

  /**
   * Adapts weights to the model's image size.
   * @returns `note` describes the change, if there was any
   */
  fit<T extends Stages<TensorData>>(
    stages: T,
    config: Config,
    source: string,
  ): { readonly stages: T; readonly note?: string };
  /**
   * Adapts weights to images of another size, whatever the recipe says.
   * @throws InputError if the family has no such weights, or the size does not fit
   */
  resize<T extends Stages<TensorData>>(stages: T, imageSize: number, source: string): T;
  /** Weights for a model with a new head. An existing head is left out. */
  newHead(config: Config, stages: Stages<TensorData>): Headless;
}

/**
 * The facts that the shapes of a complete model show.
 * @throws InputError as `factsOf`, or if there is no head
 */
export function wholeFacts(
  family: ModelFamily,
  { stages, path }: { readonly stages: Stages<Shaped>; readonly path: string },
  stated?: Readonly<Record<string, unknown>>,
): WeightsFacts & { readonly classes: number } {
  const { classes, ...backbone } = family.factsOf(stages, path, stated);
  if (classes !== null) return { ...backbone, classes };
  throw new InputError(`${path}: stages.${stages.length - 1} has no head`, {
    hint: 'the file contains a backbone without a classifier: fine-tune it with start.model and start.head: new',
  });
}
