import { existsSync, rmSync } from 'node:fs';
import { confusionOf, writeConfusion } from '../../checkpoint/confusion.js';
import { withFileErrors } from '../../checkpoint/file-errors.js';
import { type PhaseFolder, readJson } from '../../checkpoint/run-folder.js';
import type { Batch, Dataset } from '../../data/dataset.js';
import { classNames, confusionCounter } from '../../training/confusion-counter.js';
import type { Predictions } from '../../training/task.js';

/** What an evaluation tells beside its scores, kept in the phase's folder. */
export interface EvaluationDetails {
  /** Begins to watch an evaluation. */
  begin(): JudgingDetails;
}

interface JudgingDetails {
  onPredicted(batch: Batch, predictions: Predictions): void;
  /** Writes what was seen, as of `step`. */
  write(step: number): Promise<void>;
}

/** @param fromStep what is there of later steps is void: those are trained again */
export function openEvaluationDetails(
  folder: PhaseFolder,
  { val, classes, fromStep }: { readonly val: Dataset; readonly classes: number; readonly fromStep: number },
): EvaluationDetails {
  removeLater(folder.confusion, fromStep);
  const names = classNames(val.classes);
  return {
    begin: () => {
      const counter = confusionCounter(classes);
      return {
        onPredicted: (_, predictions) => counter.add(predictions),
        write: async (step) => {
          const counts = counter.counts();
          if (counts.length > 0)
            writeConfusion(folder.confusion, { step, classes, ...(names && { names }), counts });
        },
      };
    },
  };
}

function removeLater(path: string, fromStep: number): void {
  if (!existsSync(path) || stepIn(path) <= fromStep) return;
  withFileErrors(path, () => rmSync(path, { force: true }));
}

/** Of a file that says nothing, beyond all steps. */
function stepIn(path: string): number {
  try {
    return confusionOf(readJson(path))?.step ?? Number.POSITIVE_INFINITY;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
