import { divideStages } from '../../models/model-file/model-file-divide.js';
import type { GivenWeights, NamedWeights, Origin } from '../../phase/given-weights.js';
import { classesOf } from './checkpoint-classes.js';
import { readCheckpointFile } from './checkpoint-file.js';
import { readTeacher } from './teacher.js';

/** Reads weights in all formats that can be read, from files and from the hub. */
export const givenWeights: GivenWeights = {
  start: (source, run) => {
    const { meta, model } = run.start;
    return source === 'start.meta'
      ? weightsOfFile(meta as string, run.meta, run)
      : weightsOfFile(model as string, run.target, run);
  },
  teacher: readTeacher,
};

/** A file's weights in stages of the given depths, with the position embedding fitted to the model's grid. */
async function weightsOfFile(
  name: string,
  depths: readonly number[],
  { start, model, config, familyOf }: Origin,
): Promise<NamedWeights[]> {
  const checkpoint = await readCheckpointFile(name, { weights: start.weights });
  const { file } = checkpoint;
  const isKept = start.head === 'keep';
  const labels = isKept ? { name, classes: classesOf(checkpoint), isOfRun: false } : undefined;
  const family = familyOf(model);
  const head = isKept ? undefined : family.newHead(config, file.stages);
  const { stages } = family.fit(divideStages(head?.stages ?? file.stages, depths, name), config, name);
  return stages.map((weights) => ({
    weights,
    source: name,
    labels,
    ...(head && { isFresh: head.isFresh }),
  }));
}
