import { InputError, Interrupted } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import type { Batch } from '../../data/dataset.js';
import { shareBatches } from '../../data/loader/shared-batches.js';
import { prefixOf, sharedPrefix } from '../../method/shared-prefix.js';
import { StagedModel } from '../../models/staged.js';
import { weightsOf } from '../../nn/weights.js';
import { checkedImages } from '../../phase/images/run-data.js';
import { type PhaseRun, runPhase } from '../../phase/run-phase.js';
import { weightsHash } from '../../recipe/lineage.js';
import type { Phase } from '../../recipe/phase.js';
import type { PhaseResult } from '../../run/records.js';
import type { Trainable } from '../../training/trainer.js';
import { givenWeights } from '../start/given-weights.js';
import { keepMissing } from '../start/start-copy-write.js';

/**
 * Trains several modules in this process, in lock-step: images are read and augmented once for all of them, and the forward
 * pass of the frozen prefix runs once. Each module is a normal phase with its own optimiser, metrics and checkpoints, and
 * ends with the same weights as in separate training, except for float rounding. If a module fails, the other modules
 * continue to their end.
 *
 * @throws InputError if the recipe does not set `incubation.together`, or a module has different frozen stages than the
 *   other modules; otherwise the error of the first module that failed
 */
export async function incubateTogether(
  run: Omit<PhaseRun, 'phase' | 'given' | 'group' | 'shared'>,
  phases: readonly Phase[],
): Promise<PhaseResult[]> {
  const { runDir } = run;
  const names = phases.map(({ name }) => name);
  if (!phases.every(({ isShareable }) => isShareable)) {
    throw new InputError(`${names.join(', ')} cannot be trained together`, {
      hint: 'only modules without settings of their own can be, in a recipe with incubation.together: true',
    });
  }
  const { acceptDataChange: acceptChange, note } = run;
  const { images, record } = checkedImages(phases[0], runDir, 'run', { acceptChange, note });
  record();
  for (const phase of phases) await keepMissing(phase, runDir);
  const members = shareBatches<Batch>(phases.length);
  const prefix = sharedPrefix();
  const requireSame = prefixComparison(run.runDir);
  const ended = await Promise.allSettled(
    phases.map((phase, i) =>
      runPhase({
        ...run,
        phase,
        given: givenWeights,
        shared: {
          others: names.filter((name) => name !== phase.name),
          images,
          batches: members[i],
          prefix: (model) => {
            requireSame(phase.name, model);
            return prefix.of(model);
          },
        },
      }).finally(members[i].leave),
    ),
  );
  prefix.free();
  const failures = ended.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
  const blamed = failures.find((error) => !(error instanceof Interrupted)) ?? failures[0];
  if (blamed !== undefined) throw blamed;
  return ended.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []));
}

/** A resumed module has the frozen stages of its own checkpoint. They must be those that the other modules start from. */
function prefixComparison(runDir: string): (phase: string, model: Trainable<unknown>) => void {
  const hashes: string[] = [];
  return (phase, model) => {
    if (!(model instanceof StagedModel)) return;
    for (const [i, stage] of model.stages.slice(0, prefixOf(model)).entries()) {
      const hash = weightsHash([weightsOf(stage)]);
      hashes[i] ??= hash;
      if (hash === hashes[i]) continue;
      throw new InputError(
        `${phase} has another frozen stage ${i} than the modules trained together with it`,
        {
          hint: `it started from another meta model: retrain it with \`${ownCommand('redo', runDir, phase)}\``,
        },
      );
    }
  };
}
