import { InputError } from '../base/errors.js';
import { cifar } from './cifar.js';
import { type CheckedPart, type DataProblem, type PartName, problemsOf } from './data-check-problems.js';
import { readAll } from './data-check-read.js';
import { type PartSummary, summaryOf } from './data-check-summary.js';
import type { Dataset } from './dataset.js';
import { folderParts, imageFolder } from './folder.js';
import type { DataFormat } from './formats.js';
import { dataFormatOf, openDataset } from './open-dataset.js';
import { shardSplits } from './shard-files.js';
import { shards } from './shards.js';

export interface DataReport {
  readonly format: DataFormat;
  readonly parts: Readonly<Partial<Record<PartName, PartSummary>>>;
  readonly problems: readonly DataProblem[];
}

/**
 * Reads a whole data set, every image to its last pixel, and tells what is wrong with it. What kind it is, is told
 * by what lies in the folder.
 *
 * @param onProgress how many images are done, of how many
 * @throws InputError if there is no data set, or no part of it can be opened.
 */
export async function checkData(
  dir: string,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<DataReport> {
  const format = dataFormatOf(dir);
  const problems: DataProblem[] = [];
  const opened = openParts(dir, format, problems);
  const total = opened.reduce((sum, { dataset }) => sum + dataset.length, 0);
  let done = 0;
  const parts: CheckedPart[] = [];
  for (const { name, dataset } of opened) {
    const reading = await readAll(dataset, () => onProgress(++done, total));
    parts.push({ name, dataset, reading });
  }
  return {
    format,
    parts: Object.fromEntries(parts.map(({ name, dataset, reading }) => [name, summaryOf(dataset, reading)])),
    problems: [...problems, ...problemsOf(parts)],
  };
}

interface OpenedPart {
  readonly name: PartName;
  readonly dataset: Dataset;
}

/** Opens as much as can be; what cannot is a problem, and an error where it leaves nothing. */
function openParts(dir: string, format: DataFormat, problems: DataProblem[]): OpenedPart[] {
  const failures: InputError[] = [];
  const onProblem = (problem: InputError) => {
    failures.push(problem);
    problems.push({ kind: 'damaged', images: [], detail: problem.message });
  };
  const opened = openers(dir, format, onProblem).flatMap((open) => {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      onProblem(error);
      return [];
    }
  });
  if (opened.every(({ dataset }) => dataset.length === 0)) {
    throw failures[0] ?? new InputError(`${dir} holds no image`, { hint: 'Check the path.' });
  }
  return opened;
}

type Opener = () => OpenedPart[];

function openers(dir: string, format: DataFormat, onProblem: (problem: InputError) => void): Opener[] {
  switch (format) {
    case 'folder': {
      const { train, val } = folderParts(dir);
      const paths = { train, val, all: (train ?? val) ? undefined : dir };
      return Object.entries(paths).flatMap(([name, path]) =>
        path === undefined
          ? []
          : () => [{ name: name as PartName, dataset: imageFolder(path, {}, { emptyClasses: true }) }],
      );
    }
    case 'shards':
      return shardSplits(dir).map((name) => () => [{ name, dataset: shards(dir, name, {}, { onProblem }) }]);
    case 'cifar-10':
    case 'cifar-100':
      return (['train', 'val'] as const).map((name) => () => [{ name, dataset: cifar(dir, format, name) }]);
    default:
      return [
        () => {
          const { train, val } = openDataset({ format, path: dir });
          return [
            { name: 'train', dataset: train },
            { name: 'val', dataset: val },
          ];
        },
      ];
  }
}
