import { imitation } from '../method/imitation.js';
import type { StagedModel } from '../models/staged.js';
import type { Phase } from '../recipe/phase.js';
import { distillation } from '../tasks/distillation.js';
import { Generator } from '../torch/random.js';
import type { Task } from '../training/task.js';
import type { Trainable } from '../training/trainer.js';
import { metaStageOf } from './phase-model.js';
import { teacherOf } from './start/teacher.js';

/** The model and the task of a phase. By default the model learns the labels. */
export interface Objective {
  readonly model: Trainable;
  readonly task: Task;
}

export async function objectiveOf(
  phase: Phase,
  parts: { readonly model: StagedModel; readonly runDir: string; readonly device: string },
): Promise<Objective> {
  const { model, runDir, device } = parts;
  const task = phase.task(device);
  if (phase.objective === 'imitate') {
    const reference = await metaStageOf(phase, runDir, device);
    return imitation(model, reference, task) as Objective;
  }
  const { distill } = phase.settings;
  if (distill === null) return { model, task };
  const { kind, alpha, tau } = distill;
  const teacher = await teacherOf(distill, phase, { device, generator: new Generator() });
  return { model, task: distillation(task, { kind, alpha, tau, teacher }) as Task };
}
