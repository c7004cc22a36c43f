import type { StageWeights } from '../method/assemble.js';
import { imitation } from '../method/imitation.js';
import type { StagedModel } from '../models/staged.js';
import type { Phase } from '../recipe/phase.js';
import { distillation } from '../tasks/distillation.js';
import { Generator } from '../torch/random.js';
import type { Crew } from '../training/distributed/crew.js';
import type { Task } from '../training/task.js';
import type { Trainable } from '../training/trainer.js';
import type { TeacherWeights } from './given-weights.js';
import { metaStageForAll, type PhaseSources } from './phase-model.js';
import { teacherOf } from './teacher.js';

/** The model and the task of a phase. By default the model learns the labels. */
export interface Objective {
  readonly model: Trainable;
  readonly task: Task;
}

interface ObjectiveParts extends PhaseSources {
  readonly model: StagedModel;
  readonly device: string;
  /** The meta model's stage that the module replaces, if it has been read already. */
  readonly replaced: StageWeights | undefined;
  /** Of a phase that distills. */
  readonly teacher: TeacherWeights | undefined;
}

/** All processes that train together call this. */
export async function objectiveOf(phase: Phase, crew: Crew, parts: ObjectiveParts): Promise<Objective> {
  const { model, runDir, given, device, replaced, teacher: weights } = parts;
  const task = phase.task(device);
  if (phase.objective === 'imitate') {
    const reference = await metaStageForAll(crew, phase, { runDir, given, device, replaced });
    return imitation(model, reference, task) as Objective;
  }
  const { distill } = phase.settings;
  if (distill === null || weights === undefined) return { model, task };
  const { kind, alpha, tau } = distill;
  const teacher = teacherOf(weights, phase, { device, generator: new Generator() });
  return { model, task: distillation(task, { kind, alpha, tau, teacher }) as Task };
}
