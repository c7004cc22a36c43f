import type { ModuleInit } from '../method/grow-plan.js';
import type { LocalLosses } from '../method/local/local-losses.js';
import type { ModelConfig, ModelFamily, ModelSection } from '../models/family.js';
import type { Blueprint, Regime } from '../models/staged.js';
import type { Task } from '../training/task.js';
import type { TaskKind } from '../training/task-kind.js';
import type { DataSettings } from './recipe-data.js';
import type { RunSettings } from './recipe-run.js';
import type { StartSettings } from './recipe-start.js';
import type { TrainingSettings } from './recipe-training.js';

/** `PT`, `MT/0` ..., `FT`, `E2E`. The name is also the phase's folder in the run. */
export type PhaseName = 'PT' | `MT/${number}` | 'FT' | 'E2E';

/** Source of a stage's initial weights: the result of a phase, a file from the recipe's `start`, or null (from scratch). */
export type Source = PhaseName | 'start.meta' | 'start.model' | null;

/**
 * A phase, compiled from a recipe: everything that is needed to plan and train it. Nothing that plans or trains a phase
 * reads the recipe.
 */
export interface Phase {
  readonly name: PhaseName;
  /** The name of the recipe. */
  readonly recipeName: string;
  readonly seed: number;

  /** Number of blocks in each stage. */
  readonly depths: readonly number[];
  /** Number of blocks in each module of the target model. Each stage stands for one of these modules. */
  readonly target: readonly number[];
  /** Number of blocks in each stage of the meta model. Empty if the model is not divided. */
  readonly meta: readonly number[];
  readonly regimes: readonly Regime[];
  /** Stage i starts from stage i of this phase's result or `start` file, or from scratch. */
  readonly sources: readonly Source[];
  /** How trained stages start from sources that may have fewer blocks; fresh: no stage does. */
  readonly init: ModuleInit;
  /** The files that the run starts from. */
  readonly start: StartSettings;

  /** The recipe's section `model`. */
  readonly model: ModelSection;
  /** The geometry of the target model. */
  readonly config: ModelConfig;
  readonly blueprint: Blueprint;
  /**
   * The family of a section `model`.
   * @internal
   */
  readonly familyOf: (section: { readonly family?: unknown }) => ModelFamily;
  /** Stage-local names of the parameters that are exempt from weight decay. */
  readonly undecayed: readonly string[];

  /** The images that this phase trains on. */
  readonly data: DataSettings;
  /** The images of all phases of the run. */
  readonly dataOfRun: DataOfRun;

  /**
   * The kind of the task.
   * @internal
   */
  readonly taskKind: TaskKind;
  /** The recipe's section of the task; empty for classification. */
  readonly taskSettings: object;
  /** What the model learns, on a device. */
  /** @param classCounts images of each class, which `class_weights: balanced` needs; without them, classes are not weighted */
  readonly task: (device: string, classCounts?: readonly number[]) => Task;
  /** imitate: the trained module learns the features of the meta stage that it replaces, not the labels. */
  readonly objective: 'classify' | 'imitate';
  /** If set, every stage but the last learns from its own auxiliary head. */
  readonly local?: LocalLosses | undefined;
  readonly settings: TrainingSettings;
  /** Train until the cost of `costOf` is reached, instead of for `settings.epochs`. */
  readonly equalCost: boolean;
  /** If `equalCost`: all other phases, each after the phases that it starts from. Otherwise empty. */
  readonly costOf: readonly Phase[];

  /**
   * The name, beside the seed, in the keys of the random numbers for order, augmentation and drop path: the phase's own, or
   * `MT` for modules that see the same batches.
   */
  readonly key: string;
  /** Whether it can share a process with other modules. A module with settings or images of its own cannot. */
  readonly isShareable: boolean;

  readonly run: Pick<RunSettings, 'ranks' | 'workers' | 'tensorboard' | 'samples'>;
  /** The settings as TensorBoard shows them. */
  readonly hparams: Readonly<Record<string, unknown>>;
  /** The recipe's keys that set the size of a step, for messages. */
  readonly settingKeys: Readonly<Record<'batch_size' | 'total_batch', string>>;
}

/** The kind of a task, and its settings. */
export type ChosenTask = Pick<Phase, 'taskKind' | 'taskSettings'>;

export const isModule = ({ name }: Pick<Phase, 'name'>): boolean => name.startsWith('MT/');

/** Whether a module sees the same batches as the other modules. */
export const isTogether = ({ key, name }: Pick<Phase, 'key' | 'name'>): boolean => key !== name;

/** The named phases and all unfinished phases that they start from, in the order of the recipe. */
export function withNeeds(
  all: readonly Phase[],
  names: readonly PhaseName[],
  isDone: (name: PhaseName) => boolean,
): PhaseName[] {
  const wanted = new Set(names);
  // Each phase comes after the phases that it starts from.
  for (const phase of [...all].reverse()) {
    if (wanted.has(phase.name)) for (const need of needsOf(phase)) if (!isDone(need)) wanted.add(need);
  }
  return all.map(({ name }) => name).filter((name) => wanted.has(name));
}

/** Whether a phase starts from another phase, directly or indirectly. */
export function dependsOn(phases: readonly Phase[], name: PhaseName, other: PhaseName): boolean {
  const own = phases.filter((phase) => phase.name === name);
  return own.flatMap(needsOf).some((need) => need === other || dependsOn(phases, need, other));
}

/** The last phase that each named phase is or depends on. The baseline is ignored unless it is the only name. */
export function commonStart(phases: readonly Phase[], names: readonly PhaseName[]): PhaseName | undefined {
  const others = names.filter((name) => name !== 'E2E');
  if (others.length === 0) return names[0];
  const all = phases.map(({ name }) => name).reverse();
  return all.find((each) => others.every((name) => name === each || dependsOn(phases, name, each)));
}

/** The phases whose results a phase starts from. */
export function needsOf(phase: Pick<Phase, 'sources'>): PhaseName[] {
  const sources = phase.sources.filter((source) => source !== null);
  return [...new Set(sources.filter((source) => source !== 'start.meta' && source !== 'start.model'))];
}

/** The owner of images: the run, or a module with its own image folder. */
export type DataOwner = 'run' | `MT/${number}`;

/** The images of all phases of a run. */
export interface DataOfRun {
  readonly run: DataSettings;
  /** The images of modules with data settings of their own, by phase. */
  readonly modules: Readonly<Record<string, DataSettings>>;
  /** The run, and the modules with their own image folder. */
  readonly owners: readonly DataOwner[];
}

/** The images of a phase, or of the run. */
export function dataOf({ run, modules }: DataOfRun, name: string): DataSettings {
  return Object.hasOwn(modules, name) ? modules[name] : run;
}

/** The owner of a phase's images. */
export function dataOwnerOf({ owners }: DataOfRun, phase: string): DataOwner {
  return owners.find((owner) => owner === phase) ?? 'run';
}
