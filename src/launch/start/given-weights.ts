import { familiesIn } from '../../models/families/families.js';
import { divideStages } from '../../models/model-file/model-file-write.js';
import type { GivenWeights, NamedWeights, Origin } from '../../phase/given-weights.js';
import { classesOf } from './checkpoint-classes.js';
import { readGiven, type Wanted, wantedStart } from './start-copy.js';
import { readTeacher } from './teacher.js';

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
  const { stages } = family.fit(divided, config, name);
  return stages.map((weights, i) => ({
    weights,
    source: name,
    labels,
    ...(head && i === stages.length - 1 && { isFresh: head.isFresh }),
  }));
}
