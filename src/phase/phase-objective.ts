import { isDeepStrictEqual } from 'node:util';
import { assemble, type StageWeights } from '../method/assemble.js';
import { imitation } from '../method/imitation.js';
import { type AuxiliaryHeads, localLosses } from '../method/local/local-losses.js';
import type { StagedModel } from '../models/staged.js';
import type { InitContext } from '../nn/init.js';
import type { Phase } from '../recipe/phase.js';
import type { ClassTarget } from '../tasks/classification/classification.js';
import { distillation, type Teacher } from '../tasks/distillation.js';
import { add, mul } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { fromArray } from '../torch/tensor.js';
import { type Crew, readForAll } from '../training/distributed/crew.js';
import type { Task } from '../training/task.js';
import type { Trainable } from '../training/trainer.js';
import type { ChannelScale, TeacherModel, TeacherWeights } from './given-weights.js';
import { metaStageForAll, type PhaseSources } from './phase-model.js';

/** The model and the task of a phase. By default the model learns the labels. */
export interface Objective {
  readonly model: Trainable<unknown>;
  readonly task: Task<unknown, unknown>;
}

interface ObjectiveParts extends PhaseSources {
  readonly model: StagedModel;
  readonly device: string;
  /** Number of training images of each class. */
  readonly classCounts: () => readonly number[];
  /** The meta model's stage that the module replaces, if it has been read already. */
  readonly replaced: StageWeights | undefined;
  readonly auxiliary: AuxiliaryHeads | undefined;
  /** Of a phase that distills. */
  readonly teacher: TeacherWeights | undefined;
}

/** All processes that train together call this. */
export async function objectiveOf(phase: Phase, crew: Crew, parts: ObjectiveParts): Promise<Objective> {
  const { model, auxiliary: heads, runDir, given, device, replaced, teacher: weights } = parts;
  const isBalanced = phase.settings.class_weights === 'balanced';
  const task = phase.task(device, isBalanced ? parts.classCounts() : undefined);
  if (heads !== undefined) return localObjective(phase, { model, heads, task });
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

/** The model and the task of a phase whose modules learn from their own heads. */
export function localObjective(
  phase: Phase,
  parts: { readonly model: StagedModel; readonly heads: AuxiliaryHeads; readonly task: Task },
): Objective {
  const { model, heads } = parts;
  const { mean, std } = phase.data;
  const { featureMap } = phase.blueprint;
  if (featureMap === undefined) throw new RangeError(`${phase.name} has no feature map`);
  const task = parts.task as Task<ClassTarget>;
  return localLosses(task, { model, heads, featureMap, mean, std }) as Objective;
}

/**
 * The weights of a phase's teacher; undefined if it has none. All processes that train together call this, and rank 0 reads
 * the weights.
 */
export async function teacherForAll(
  crew: Crew,
  phase: Phase,
  { given, runDir }: PhaseSources,
): Promise<TeacherWeights | undefined> {
  const { distill } = phase.settings;
  if (distill === null) return undefined;
  const found = await readForAll<TeacherModel>(crew, async () => {
    const { stages, ...about } = await given.teacher(distill, phase, runDir);
    return { about, tensors: stages };
  });
  return found && { ...found.about, stages: found.tensors };
}

/**
 * A trained, frozen model that teaches another model. It sees the same images, normalised with its own mean and standard
 * deviation if it has them.
 */
export function teacherOf(
  { name, section, depths, normalisation, stages }: TeacherWeights,
  { familyOf, data }: Pick<Phase, 'familyOf' | 'data'>,
  { device, generator }: Omit<InitContext, 'dtype'>,
): Teacher {
  const family = familyOf(section);
  const model = assemble(
    family.blueprint(family.configOf(section, name)),
    depths,
    stages.map((weights) => ({ weights, source: name })),
    { device, generator, dtype: 'F32' },
    { regimes: depths.map(() => 'prefix') },
  );
  return normalisation === null ? model : renormalising(model, data, normalisation, device);
}

/** Adapts a model that was trained on images with normalisation `to` to images with normalisation `from`. */
function renormalising(model: StagedModel, from: ChannelScale, to: ChannelScale, device: string): Teacher {
  if (isDeepStrictEqual([from.mean, from.std], [to.mean, to.std])) return model;
  const perChannel = (of: (channel: number) => number) =>
    fromArray(
      Float32Array.from(from.mean, (_, channel) => of(channel)),
      [1, from.mean.length, 1, 1],
      device,
    );
  return {
    forward: (images, pass) =>
      scope(() => {
        const scale = perChannel((c) => from.std[c] / to.std[c]);
        const shift = perChannel((c) => (from.mean[c] - to.mean[c]) / to.std[c]);
        return model.forward(add(mul(images, scale), shift), pass);
      }),
  };
}
