import { closeSync, existsSync, openSync, rmSync, writeSync } from 'node:fs';
import { extname } from 'node:path';
import { InputError } from '../../base/errors.js';
import type { Batch, Dataset } from '../../data/dataset.js';
import { withFileErrors } from '../../files/file-errors.js';
import { type ImagePrediction, type PredictedClass, predictionsAt } from '../../launch/predict.js';
import { csvField } from '../../report/metrics-csv.js';
import type { Predictions } from '../../training/task.js';

/** The predictions for an image with a label. */
interface LabelledPrediction {
  readonly image: string;
  /** The name of the class; its label if the classes have no names. */
  readonly target: string;
  readonly predictions: readonly PredictedClass[];
}

type Row = ImagePrediction | LabelledPrediction;

/** The predictions for the images of a batch. */
export function labelledPredictions(evaluated: {
  readonly dataset: Dataset;
  readonly batch: Batch;
  readonly predictions: Predictions;
  readonly names: readonly string[] | undefined;
}): LabelledPrediction[] {
  const { dataset, batch, predictions, names } = evaluated;
  return Array.from(batch.indices, (index, slot) => {
    const label = predictions.labels[slot];
    const target = names?.[label] ?? String(label);
    return { image: dataset.describe(index), target, predictions: predictionsAt(predictions, slot, names) };
  });
}

/** Writes the predictions of an evaluation to a file, as they come. */
interface PerImageFile {
  add(rows: readonly LabelledPrediction[]): void;
  close(): void;
  /** Removes the incomplete file. */
  discard(): void;
}

/**
 * The file for `--per-image`, which is created with the first rows; undefined if none is requested.
 * @throws InputError if the extension is neither .csv nor .jsonl, or the file exists
 */
export function perImageFile(path: string | undefined): PerImageFile | undefined {
  if (path === undefined) return undefined;
  const kind = extname(path).toLowerCase();
  if (kind !== '.csv' && kind !== '.jsonl') {
    throw new InputError(`--per-image ${path}: the name must end in .csv or .jsonl`, {
      hint: 'For example --per-image results.csv.',
    });
  }
  if (existsSync(path)) {
    throw new InputError(`--per-image ${path}: the file exists`, {
      hint: 'Choose another name, or remove the file.',
    });
  }
  let file: number | undefined;
  const write = (text: string) =>
    withFileErrors(path, () => {
      file ??= openSync(path, 'wx');
      writeSync(file, text);
    });
  const close = () => {
    if (file !== undefined) closeSync(file);
  };
  return {
    add(rows) {
      if (kind === '.csv' && file === undefined)
        write(csvHead(rows[0].predictions.length, ['image', 'target']));
      write(rows.map(kind === '.csv' ? csvLine : jsonLine).join(''));
    },
    close,
    discard() {
      close();
      if (file !== undefined) rmSync(path, { force: true });
    },
  };
}

/** The header of a CSV table with `top` predictions per image. */
export function csvHead(top: number, first: readonly string[] = ['image']): string {
  const ranks = Array.from({ length: top }, (_, rank) => [`class_${rank + 1}`, `probability_${rank + 1}`]);
  return `${[...first, ...ranks.flat()].join(',')}\n`;
}

export function csvLine(row: Exclude<Row, { readonly error: string }>): string {
  const target = 'target' in row ? [row.target] : [];
  const predictions = row.predictions.flatMap((each) => [each.class, each.probability]);
  return `${[row.image, ...target, ...predictions].map(csvField).join(',')}\n`;
}

export function jsonLine(row: Row): string {
  return `${JSON.stringify(row)}\n`;
}
