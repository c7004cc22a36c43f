import type { TensorData } from '../base/tensor-data.js';
import type { StageWeights } from '../method/assemble.js';
import type { ModelSection } from '../models/family.js';
import type { Phase } from '../recipe/phase.js';
import type { CheckpointClasses, StartLabels } from './phase-labels.js';

/**
 * Reads weights that the run has not trained: its copies of the weights that its recipe names. A phase gets it passed, and knows
 * only checkpoints.
 */
export interface GivenWeights {
  /**
   * The weights of the file that the recipe's `start` names, in the stages of the meta model or of the target model.
   * @throws InputError if the file does not have the weights of the model
   */
  start(source: 'start.meta' | 'start.model', run: Origin, runDir: string): Promise<readonly NamedWeights[]>;
  /** @throws InputError if the teacher's weights do not determine a model, or it needs different images than the phase */
  teacher(distill: Distill, phase: Taught, runDir: string): Promise<TeacherWeights>;
}

/** What the weights that a run starts from are read with. A phase of the run has it. */
export type Origin = Pick<Phase, 'start' | 'target' | 'meta' | 'model' | 'config' | 'familyOf'>;

/** Weights, and the names of the classes that their head distinguishes. */
export interface NamedWeights extends StageWeights {
  readonly labels: StartLabels | undefined;
  /** How the weights were adapted to the model's image size, on the first stage, if they were. */
  readonly adapted?: string | undefined;
}

/** How a teacher is chosen. */
export type Distill = Pick<NonNullable<Phase['settings']['distill']>, 'teacher' | 'weights' | 'normalise'>;

/** The model that is taught: its geometry and its images. */
export type Taught = Pick<Phase, 'config' | 'data' | 'model'>;

/** A teacher's weights, its model, and its images. */
export interface TeacherWeights extends TeacherModel {
  readonly stages: readonly ReadonlyMap<string, TensorData>[];
}

/** A teacher without its weights. */
export interface TeacherModel {
  readonly name: string;
  /** The recipe's section `model` for it. */
  readonly section: ModelSection;
  /** Number of blocks in each stage. */
  readonly depths: readonly number[];
  /** Mean and standard deviation of its images; null: those of the model that it teaches. */
  readonly normalisation: ChannelScale | null;
  /** Undefined if it does not name its classes. */
  readonly classes: CheckpointClasses | undefined;
}

/** Mean and standard deviation of each channel. */
export interface ChannelScale {
  readonly mean: readonly number[];
  readonly std: readonly number[];
}
