import type { DecodeOptions } from '../../data/dataset.js';

/** What `predict` is given for a model that labels pixels or finds objects. */
export interface AnnotatedPredictOptions {
  /** For messages. */
  readonly checkpoint: string;
  readonly out?: string;
  readonly csv?: true;
  readonly json?: true;
  readonly top: number;
  readonly decode: DecodeOptions;
  /** By label. Default: the labels. */
  readonly names: readonly string[] | undefined;
  /** The ids of the classes in COCO's files, by label. Default: 1, 2 ... */
  readonly categoryIds: readonly number[] | undefined;
  readonly classes: number;
}
