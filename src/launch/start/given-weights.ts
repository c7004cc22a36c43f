import { InputError } from '../../base/errors.js';
import { familiesIn } from '../../models/families/families.js';
import { divideStages } from '../../models/model-file/model-file-write.js';
import type {
  Distill,
  GivenWeights,
  NamedWeights,
  Origin,
  Taught,
  TeacherWeights,
} from '../../phase/given-weights.js';
import { modelConfigOf } from '../../recipe/recipe-model.js';
import { classesOf } from './checkpoint-classes.js';
import type { CheckpointFile } from './checkpoint-file.js';
import { modelOfCheckpoint } from './model-of-checkpoint.js';
import { readGiven, type Wanted, wantedStart, wantedTeacher } from './start-copy.js';
import { statedFacts } from './stated-facts.js';

/** Reads the run's copies of the weights that its recipe names; in runs of earlier versions, which have none, the originals. */
export const givenWeights: GivenWeights = {
  start: (source, run, runDir) => {
    const wanted = wantedStart(run.start);
    if (wanted === undefined) throw new RangeError(`the recipe has no ${source}`);
    return startWeights(wanted, source === 'start.meta' ? run.meta : run.target, run, runDir);
  },
  teacher: readTeacher,
};

/** The weights in stages of the given depths, with the position embedding fitted to the model's grid. */
async function startWeights(
  wanted: Wanted,
  depths: readonly number[],
  { start, model, config, familyOf }: Origin,
  runDir: string,
): Promise<NamedWeights[]> {
  const { name } = wanted;
  const checkpoint = await readGiven(runDir, wanted, { families: familiesIn(model) });
  const { file } = checkpoint;
  const isKept = start.head === 'keep';
  const labels = isKept ? { name, classes: classesOf(checkpoint), isOfRun: false } : undefined;
  const family = familyOf(model);
  const head = isKept ? undefined : family.newHead(config, file.stages);
  const endOf = family.endOfParts?.(config) ?? family.endOf;
  const divided = divideStages(head?.stages ?? file.stages, depths, name, { endOf });
  const { stages, note: adapted } = family.fit(divided, config, name);
  return stages.map((weights, i) => ({
    weights,
    source: name,
    labels,
    ...(i === 0 && adapted !== undefined && { adapted: `${name}: ${adapted}` }),
    ...(head && i === stages.length - 1 && { isFresh: head.isFresh }),
  }));
}

const NAMES = { imageSize: 'pixels a side', channels: 'channels', classes: 'classes' };

/**
 * The weights of a teacher. With `normalise: own` it sees images with the mean and standard deviation that it states, if it
 * states them.
 * @throws InputError if its weights do not determine the model, or it needs different images than the model
 */
export async function readTeacher(distill: Distill, phase: Taught, runDir: string): Promise<TeacherWeights> {
  const checkpoint = await readGiven(runDir, wantedTeacher(distill), { families: familiesIn(phase.model) });
  const known = requireTeacher(checkpoint, distill, phase);
  const { model: section, data } = known.recipe;
  const isOwn = distill.normalise === 'own' && statedFacts(checkpoint).mean !== undefined;
  return {
    name: distill.teacher,
    section,
    depths: known.depths,
    normalisation: isOwn ? { mean: data.mean, std: data.std } : null,
    classes: classesOf(checkpoint),
    stages: checkpoint.file.stages,
  };
}

/**
 * The model of a teacher.
 * @throws InputError as in `readTeacher`
 */
export function requireTeacher(
  checkpoint: CheckpointFile,
  { teacher: name, normalise }: Distill,
  { config: taught }: Taught,
) {
  const { recipe: own, depths, assumptions } = modelOfCheckpoint(checkpoint, { settings: [] });
  const teaching = modelConfigOf(own);
  for (const key of ['imageSize', 'channels', 'classes'] as const) {
    if (teaching[key] === taught[key]) continue;
    throw new InputError(
      `distill.teacher ${name} has ${teaching[key]} ${NAMES[key]}, but the model has ${taught[key]}`,
      {
        hint: 'the teacher sees the same images as the model: use a matching teacher',
      },
    );
  }
  // The teacher sees the images of the model, so assumptions about its preprocessing do not matter.
  const ofModel = assumptions.filter((text) => !/^(mean|standard deviation|bicubic)/.test(text));
  const { mean } = statedFacts(checkpoint);
  if (mean === undefined && normalise === 'own') ofModel.push("the model's mean and standard deviation");
  return { recipe: own, depths, assumptions: ofModel };
}
