import { RunError } from '../base/errors.js';
import { openDevice } from '../torch/engine.js';
import { crewOf } from '../training/distributed/crew.js';
import { exponentialRates, hasDiverged, type RatePoint } from '../training/rate-range.js';
import { train } from '../training/trainer.js';
import { openPhase } from './open-phase.js';
import { batchesOf, type PhaseRun } from './run-phase.js';

interface RateTest extends Pick<PhaseRun, 'phase' | 'runDir' | 'given' | 'device' | 'note'> {
  /** The first and the last learning rate, as the optimiser gets it. */
  readonly from: number;
  readonly to: number;
  readonly steps: number;
  /** Called after every step. */
  readonly onStep?: (point: RatePoint, step: number) => void;
}

class Ended extends Error {}

/**
 * Trains a phase with exponentially rising learning rates, until `steps` steps are done or the loss diverges. Images, model,
 * optimiser and loss are those of the phase. The folder must be that of a prepared run; it gets a log but no checkpoint.
 * @returns the rate and the training loss of each step
 */
export async function testRates(test: RateTest): Promise<RatePoint[]> {
  const { from, to, steps, onStep } = test;
  const opened = await openPhase({ ...test, device: openDevice(test.device) }, crewOf(undefined));
  const { phase, objective, share, images } = opened;
  const { clip_grad, activation_checkpointing } = phase.settings;
  const points: RatePoint[] = [];
  const ended = await train({
    ...opened,
    model: objective.model,
    phase: phase.name,
    dropPathKey: [phase.seed, 'drop-path', phase.key],
    schedule: exponentialRates({ from, to, steps }),
    batches: batchesOf(opened, { from: 0, steps }),
    fromStep: 0,
    steps,
    accumulate: share,
    clipGrad: clip_grad,
    activationCheckpointing: activation_checkpointing,
    describe: (index) => images.train.describe(index),
    seed: phase.seed,
    afterStep: ({ lr, loss, step }) => {
      points.push({ lr, loss });
      onStep?.({ lr, loss }, step);
      if (hasDiverged(points)) throw new Ended();
    },
  }).catch((error: unknown) => error);
  opened.model.free();
  opened.optimizer.free();
  // A loss that is not finite ends the test: it shows that the rate is too high.
  const isDivergence = ended instanceof Ended || (ended instanceof RunError && points.length > 1);
  if (ended !== undefined && !isDivergence) throw ended;
  return points;
}
