import type { Batch } from '../data/dataset.js';
import { evalBatches } from '../data/loader/loader.js';
import { evaluate } from '../training/evaluate.js';
import { workersOf } from './images/images.js';
import { openEvaluationDetails } from './observe/evaluation-details.js';
import type { PhaseParts } from './phase-parts.js';

interface Scores {
  /** Per cent, of `images`. */
  readonly top1: number;
  readonly top5: number;
  readonly loss: number;
  readonly images: number;
}

/**
 * Scores a phase's model, as of a step, on the validation images, and writes what it took each class for. Of processes that
 * train together rank 0 does so; the others wait for it, and are told.
 */
export function scorer(parts: PhaseParts, fromStep: number): (step: number) => Promise<Scores> {
  const { recipe, phase, folder, samples, images, model, ema, task, generator, device, crew, onProgress } =
    parts;
  const details =
    samples &&
    openEvaluationDetails(folder, {
      val: images.val,
      classes: recipe.model.classes,
      fromStep,
      samples,
    });
  return async (step) => {
    onProgress('evaluating');
    const { precision, batch_size: batchSize } = phase.settings;
    const transform = images.evalTransform;
    const batches = evalBatches({ dataset: images.val, batchSize, transform, ...workersOf(recipe) });
    const [top1, top5, loss, count] = await crew.led(4, async (beat) => {
      const judging = details?.begin();
      const score = () =>
        evaluate({
          model,
          task,
          batches: beating(batches, () => {
            beat();
            onProgress('evaluating');
          }),
          precision,
          device,
          generator,
          ...(judging && { onPredicted: judging.onPredicted }),
        });
      const found = await (ema === undefined ? score() : ema.swapped(score));
      await judging?.write(step);
      return [found.top1, found.top5, found.loss, found.images];
    });
    return { top1, top5, loss, images: count };
  };
}

async function* beating(batches: AsyncIterable<Batch>, beat: () => void): AsyncGenerator<Batch> {
  for await (const batch of batches) {
    yield batch;
    beat();
  }
}
