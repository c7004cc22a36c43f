import type { Batch } from '../data/dataset.js';
import { evalBatches } from '../data/loader/loader.js';
import { scoreOf } from '../run/metric.js';
import { type Evaluation, evaluate } from '../training/evaluate.js';
import { workersOf } from './images/images.js';
import { openEvaluationDetails } from './observe/evaluation-details.js';
import type { PhaseParts } from './phase-parts.js';

/**
 * Returns a function that scores a phase's model on the validation images and writes the details of the evaluation for a
 * step. If several processes train together, rank 0 does this; the other ranks wait and receive the scores.
 */
export function scorer(parts: PhaseParts, fromStep: number): (step: number) => Promise<Evaluation> {
  const { phase, folder, samples, images, model, ema, task, device, crew, onProgress } = parts;
  const { all: metrics } = task.metrics;
  const details =
    samples &&
    openEvaluationDetails(folder, {
      val: images.val,
      classes: phase.model.classes,
      fromStep,
      samples,
    });
  return async (step) => {
    onProgress('evaluating');
    const { precision, batch_size: batchSize } = phase.settings;
    const transform = images.evalTransform;
    const batches = evalBatches({ dataset: images.val, batchSize, transform, ...workersOf(phase) });
    const [loss, count, ...values] = await crew.led(2 + metrics.length, async (beat) => {
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
          ...(judging && { onPredicted: judging.onPredicted }),
        });
      const found = await (ema === undefined ? score() : ema.swapped(score));
      await judging?.write(step);
      return [found.loss, found.images, ...metrics.map((metric) => scoreOf(found, metric))];
    });
    return { ...Object.fromEntries(metrics.map(({ name }, i) => [name, values[i]])), loss, images: count };
  };
}

async function* beating(batches: AsyncIterable<Batch>, beat: () => void): AsyncGenerator<Batch> {
  for await (const batch of batches) {
    yield batch;
    beat();
  }
}
