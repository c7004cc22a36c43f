import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import type { Layout } from '../weights/layout/layout-stages.js';
import type { Blueprint } from './staged.js';

/** What every family's part of a recipe has: the section `model`. */
export interface ModelSection {
  /** Default: the first of src/models/families. */
  readonly family?: string | undefined;
  /** Pixels of a side. */
  readonly image_size: number;
  readonly channels: number;
  readonly classes: number;
}

/** The geometry of a model of any family. */
export interface ModelConfig {
  /** Pixels of a side. */
  readonly imageSize: number;
  readonly channels: number;
  readonly classes: number;
}

/** What the shapes of weights show. */
export interface WeightsFacts {
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  readonly channels: number;
  /** Null where the weights have no head. */
  readonly classes: number | null;
}

/** What is stated of a model beside its weights, which do not show it. */
export interface StatedModel {
  readonly heads?: number | undefined;
  readonly layerNormEps?: number | undefined;
  readonly pool?: 'token' | 'mean' | undefined;
  /** Whether its final norm follows the pooling. */
  readonly fcNorm?: boolean | undefined;
}

/** A setting that a checkpoint does not state, and the text that says what is taken for it. */
export interface Assumption {
  readonly key: string;
  readonly text: string;
}

/** The section `model` of a recipe for weights that come without one. */
export interface AssumedSection {
  readonly section: Readonly<Record<string, unknown>>;
  readonly assumed: readonly Assumption[];
}

/** A key of the section that weights may state. */
export interface StatedKey {
  readonly key: string;
  /** What the weights state. */
  readonly value: unknown;
  /** What the recipe uses. */
  readonly used: unknown;
  /** Whether it is filled in if the recipe leaves it out. */
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

/** All that belongs to one kind of model. A new one is a folder of src/models with such a value, listed in src/models/families. */
export interface ModelFamily<
  Section extends ModelSection = ModelSection,
  Config extends ModelConfig = ModelConfig,
  Facts extends WeightsFacts = WeightsFacts,
> {
  /** As in `model.family`. */
  readonly name: string;
  /** For messages: `vision transformer`. */
  readonly title: string;

  /**
   * What no single key of the section shows.
   * @param source for messages
   * @throws InputError naming the keys that do not go together
   */
  check(section: Section, source: string): void;
  /** @throws InputError when a key is missing, or sizes do not fit each other */
  configOf(section: Section, source: string): Config;
  blueprint(config: Config): Blueprint;
  /** What of the geometry two runs must share to share modules: all but the number of blocks, if blocks are equal. */
  identity(config: Config): Readonly<Record<string, unknown>>;
  /** The geometry, for results: keys as in a recipe. */
  describe(config: Config): Readonly<Record<string, unknown>>;

  /** What a file of weights must state beside them. */
  statedBy(config: Config): StatedModel;
  /** The layouts that can hold it. */
  readonly layouts: readonly Layout[];

  /** Whether stages with tensors of these names are a model of the family. */
  recognises(names: Iterable<string>): boolean;
  /** @throws InputError naming the tensors that are missing or contradict each other */
  factsOf(stages: Stages<Shaped>, source: string): Facts;
  /** What weights have and a model needs, in the order in which a difference is reported. */
  compare(
    facts: Facts,
    config: Config,
    options: { readonly keepsHead: boolean; readonly isMeta: boolean },
  ): readonly (readonly [what: string, has: unknown, needs: unknown])[];
  /** The section of a run, for one of its checkpoints, which may be of a meta model or a hybrid. */
  sectionOfStages(
    section: Readonly<Record<string, unknown>>,
    facts: Facts,
  ): Readonly<Record<string, unknown>>;
  /** The section for weights of unknown origin. `leftOut`: names of the file's tensors that no classifier reads. */
  assumedSection(facts: Facts, stated: StatedModel, leftOut: readonly string[]): AssumedSection;
  /** What a run's section states. */
  statedIn(section: Readonly<Record<string, unknown>>): StatedModel;
  statedKeys(section: Section, config: Config, stated: StatedModel): readonly StatedKey[];
  /** @throws InputError when the section of a checkpoint's model lacks what its weights do not show */
  requireKnown(section: Readonly<Record<string, unknown>>, facts: Facts, source: string): void;

  /**
   * Weights for images of the model's size.
   * @returns `note`: what was changed, if anything was
   */
  fit<T extends Stages<TensorData>>(
    stages: T,
    config: Config,
    source: string,
  ): { readonly stages: T; readonly note?: string };
  /** Weights for a model with a new head. Whatever head they have, or none, is left out. */
  newHead(config: Config, stages: Stages<TensorData>): Headless;
}

/**
 * What the shapes of a whole model show.
 * @throws InputError as `factsOf`, or when there is no head
 */
export function wholeFacts(
  family: ModelFamily,
  { stages, path }: { readonly stages: Stages<Shaped>; readonly path: string },
): WeightsFacts & { readonly classes: number } {
  const { classes, ...backbone } = family.factsOf(stages, path);
  if (classes !== null) return { ...backbone, classes };
  throw new InputError(`${path}: stages.${stages.length - 1} has no head`, {
    hint: 'the file has a backbone without a classifier: fine-tune it with start.model and start.head: new',
  });
}
