import type { z } from 'zod';
import type { Batch } from '../data/dataset.js';
import type { DataFormat } from '../data/formats/formats.js';
import type { MakeEvalBatch, MakeTrainBatch } from '../data/loader/loader.js';
import type { ModelConfig } from '../models/family.js';
import type { Regime } from '../models/staged.js';
import type { TaskMetrics } from '../run/metric.js';
import type { Task } from './task.js';

/** Settings of a phase that concern the loss of a classifier. */
export interface LossSettings {
  readonly label_smoothing: number;
  readonly loss: 'cross-entropy' | 'bce';
  readonly bce_threshold: number | null;
  readonly class_weights: 'balanced' | readonly number[] | null;
  /** Number of training images of each class, for balanced weights. */
  readonly classCounts?: readonly number[] | undefined;
}

/** Keys of a recipe that classification supports, and other tasks may not. `mixup`: also cutmix. */
export const CLASSIFIER_KEYS = [
  'mixup',
  'class_weights',
  'loss',
  'label_smoothing',
  'distill',
  'curriculum',
  'objective',
  'local',
] as const;

export type ClassifierKey = (typeof CLASSIFIER_KEYS)[number];

/** What a `Task` is made from. */
export interface TaskInputs<Settings> {
  readonly config: ModelConfig;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly device: string;
  /** The recipe's section with the name of the task. */
  readonly settings: Settings;
  readonly training: LossSettings;
}

/**
 * Everything that belongs to one kind of prediction. To add a kind, export such a value from a new folder in src/tasks and list it
 * in src/tasks/tasks.ts.
 */
export interface TaskKind<Settings extends object = object> {
  /** The value of a recipe's `task`, and the name of the section with its settings. */
  readonly name: string;
  /** What its models do, for messages: `labels pixels`. */
  readonly does: string;
  /** The recipe's section; it may have no keys. Only classification has none. */
  readonly section?: z.ZodObject;
  /** @param classes number of classes, if known */
  metrics(classes: number | undefined): TaskMetrics;
  make(inputs: TaskInputs<Settings>): Task;

  readonly card: CardTask;

  /** The keys that recipes of this task cannot use. */
  readonly unsupported: readonly ClassifierKey[];
  /**
   * Checks a phase further.
   * @param source for messages
   * @throws InputError naming the key that is not possible
   */
  checkPhase?(phase: CheckedPhase<Settings>, source: string): void;
  /** Default of `training.label_smoothing`, if another than that of classification. */
  readonly labelSmoothing?: number;

  /** For models with a decoder instead of the classifier head. */
  readonly decoder?: {
    /** The value of `model.decoder.kind`, which implies the task. */
    readonly kind: string;
    /** Keys of the section `model` with another default. */
    readonly model?: Readonly<Record<string, unknown>>;
  };
  /** For images with annotations instead of one class each. */
  readonly annotations?: Annotations<Settings>;
}

/** How model cards for the Hugging Face hub name a task. */
export interface CardTask {
  /** The hub's name of the task: `image-classification`. */
  readonly pipeline: string;
  /** The same in words. */
  readonly title: string;
  /** What a model is for: `image classification`. */
  readonly purpose: string;
  /** What the loss is. */
  readonly loss: string;
  /** The hub's name of the metric, if it has one. */
  readonly metric?: string;
}

/** The parts of a phase that a task can check. */
export interface CheckedPhase<Settings> {
  readonly name: string;
  readonly regimes: readonly Regime[];
  readonly config: ModelConfig;
  readonly taskSettings: Settings;
  readonly settings: { readonly batch_size: number };
}

interface ReportColumn {
  readonly key: string;
  readonly heading: string;
}

/** Images whose labels are not one class for each, and how a task reads them. */
export interface Annotations<Settings> {
  readonly format: DataFormat;
  /** For messages: `label maps`. */
  readonly name: string;
  /** What has a label of its own, for messages: `pixel`. */
  readonly each: string;
  /** For messages: what `predict` does with the predictions, and the page of the documentation. */
  readonly predict: string;
  readonly page: string;
  trainBatch(settings: Settings, config: ModelConfig): MakeTrainBatch;
  evalBatch(settings: Settings, config: ModelConfig): MakeEvalBatch;
  /** How the report shows the images and classes of an evaluation. */
  readonly report: {
    /** For its note: what the three panels of a picture show. */
    readonly panels: string;
    /** Name of the middle panel. */
    readonly labels: string;
    /** Of a class in the details of an evaluation (src/run/drawn-details.ts): the score that the worst classes have, another one, a count. */
    readonly columns: readonly [score: ReportColumn, other: ReportColumn, count: ReportColumn];
  };
  /** How images are evaluated, for the results of `eval`. */
  evaluation(settings: Settings): object;
  /** The annotations of random images, for measurements of speed; `random` returns that many bytes. */
  random?(
    images: { readonly size: number; readonly side: number; readonly classes: number },
    random: (bytes: number) => Uint8Array,
  ): Partial<Batch>;
}
