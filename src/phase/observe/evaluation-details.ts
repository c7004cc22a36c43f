import { rmSync } from 'node:fs';
import type { Batch, Dataset } from '../../data/dataset.js';
import { withFileErrors } from '../../files/file-errors.js';
import { packHits, writeConfusion } from '../../run/confusion.js';
import type { PhaseFolder } from '../../run/run-folder.js';
import { classNames, confusionCounter } from '../../training/confusion-counter.js';
import type { EvaluateOptions } from '../../training/evaluate.js';
import type { Predictions, Task } from '../../training/task.js';
import { openDrawnDetails } from './drawn-evaluation.js';
import { isOfLaterStep, type PhaseSamples } from './phase-samples.js';

/** Details of an evaluation in addition to its scores, stored in the phase's folder. */
interface EvaluationDetails {
  /** Starts to collect the details of an evaluation. */
  begin(): EvaluationRecorder;
}

interface EvaluationRecorder {
  readonly callbacks: Pick<EvaluateOptions, 'onPredicted' | 'onOutput' | 'onScored' | 'collection'>;
  /** Writes the collected details as those of `step`. */
  write(step: number): Promise<void>;
}

/** @param options existing details of steps after `fromStep` are removed, because these steps are trained again */
export function openEvaluationDetails(
  folder: PhaseFolder,
  options: {
    readonly val: Dataset;
    readonly classes: number;
    readonly fromStep: number;
    readonly samples: PhaseSamples;
    readonly task: Task;
    /** Number of images that are drawn if the task labels pixels or finds objects. */
    readonly shown: number;
  },
): EvaluationDetails {
  const { val, classes, fromStep, samples, task } = options;
  const beginDrawing = openDrawnDetails(folder, task, options);
  if (isOfLaterStep(folder.confusion, fromStep)) {
    withFileErrors(folder.confusion, () => rmSync(folder.confusion, { force: true }));
  }
  const names = classNames(val.classes);
  return {
    begin: () => {
      const counter = confusionCounter(classes);
      const images = samples.images();
      const hits = new Uint8Array(val.length);
      const drawn = beginDrawing?.();
      return {
        callbacks: {
          onPredicted: (batch, predictions) => {
            counter.add(predictions);
            markHits(hits, batch, predictions);
            images.add(batch, predictions);
          },
          ...(drawn && { onOutput: drawn.onOutput, onScored: drawn.onScored, collection: drawn.collection }),
        },
        write: async (step) => {
          const counts = counter.counts();
          if (counts.length > 0)
            writeConfusion(folder.confusion, { step, classes, names, counts, hits: packHits(hits) });
          await samples.write(step, images);
          await drawn?.write(step);
        },
      };
    },
  };
}

/** Sets the entry of each image of a batch to 1 if the model classifies it correctly, else to 0. */
function markHits(hits: Uint8Array, { indices }: Batch, { k, labels, classes }: Predictions): void {
  for (const [at, image] of indices.entries()) hits[image] = classes[at * k] === labels[at] ? 1 : 0;
}
