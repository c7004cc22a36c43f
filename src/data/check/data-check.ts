import { InputError } from '../../base/errors.js';
import type { Dataset } from '../dataset.js';
import { cifar } from '../formats/cifar.js';
import { csvPart, csvSplits } from '../formats/csv.js';
import { imageFolder } from '../formats/folder.js';
import { folderLayout } from '../formats/folder-layout.js';
import type { DataFormat } from '../formats/formats.js';
import { shardLayout, shards } from '../formats/shards.js';
import { dataFormatOf, openDataset, publishedPart } from '../open/open-dataset.js';
import { joinedPassedOver, type PassedOver } from '../passed-over.js';
import { namesOfSplit, type Split, type SplitChoice } from '../splits.js';
import { readAll } from './data-check-read.js';
import {
  type CheckedPart,
  type DataProblem,
  type PartSummary,
  problemsOf,
  summaryOf,
} from './data-check-summary.js';

export interface DataReport {
  readonly format: DataFormat;
  readonly parts: Readonly<Partial<Record<SplitChoice, PartSummary>>>;
  /** Content of the folder that is not read. */
  readonly not_read: readonly PassedOver[];
  readonly problems: readonly DataProblem[];
}

interface DataCheckOptions {
  /** Reads only this part. Default: train and val, or all images if the data set is not divided. */
  readonly split?: SplitChoice | undefined;
  /** Called with the number of images that are done, and the total. */
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Reads a whole data set, decodes every image completely, and reports all problems. The format is detected from the content of
 * the folder.
 *
 * @throws InputError if there is no data set, no part of it can be opened, or its division into parts is ambiguous.
 */
export async function checkData(
  dir: string,
  { split, onProgress = () => {} }: DataCheckOptions = {},
): Promise<DataReport> {
  const format = dataFormatOf(dir);
  const problems: DataProblem[] = [];
  const { openers, passedOver = [] } = partsOf(dir, format, split, problems);
  const opened = openAll(dir, openers, problems);
  const total = opened.reduce((sum, { dataset }) => sum + dataset.length, 0);
  let done = 0;
  const parts: CheckedPart[] = [];
  for (const { name, dataset } of opened) {
    const reading = await readAll(dataset, () => onProgress(++done, total));
    parts.push({ name, dataset, reading });
  }
  problems.push(...problemsOf(parts));
  if (split === undefined && parts.every(({ name }) => name !== 'all')) {
    problems.push(...refusal(dir, format, problems));
  }
  return {
    format,
    parts: Object.fromEntries(parts.map(({ name, dataset, reading }) => [name, summaryOf(dataset, reading)])),
    not_read: joinedPassedOver([...parts.map(({ dataset }) => dataset.passedOver), passedOver]),
    problems,
  };
}

/** Problems for which a run rejects the data. */
const REFUSED: ReadonlySet<DataProblem['kind']> = new Set([
  'damaged',
  'missing_part',
  'empty_class',
  'unknown_class',
]);

/** The error with which a run rejects the data, unless a known problem already explains it. */
function refusal(dir: string, format: DataFormat, problems: readonly DataProblem[]): DataProblem[] {
  if (problems.some(({ kind }) => REFUSED.has(kind))) return [];
  try {
    openDataset({ format, path: dir });
    return [];
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return [{ kind: 'refused', images: [], detail: error.message }];
  }
}

interface OpenedPart {
  readonly name: SplitChoice;
  readonly dataset: Dataset;
}

type Opener = () => OpenedPart[];

/** Opens all parts that can be opened. A failure is added to `problems`; it is thrown if there are no images. */
function openAll(dir: string, openers: readonly Opener[], problems: DataProblem[]): OpenedPart[] {
  const failures: InputError[] = [];
  const opened = openers.flatMap((open) => {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      failures.push(error);
      problems.push(damaged(error));
      return [];
    }
  });
  if (opened.every(({ dataset }) => dataset.length === 0)) {
    throw failures[0] ?? new InputError(`${dir} contains no images`, { hint: 'Check the path.' });
  }
  return opened;
}

function damaged({ message }: InputError): DataProblem {
  return { kind: 'damaged', images: [], detail: message };
}

/** The parts to read, and other content of the folder. */
function partsOf(
  dir: string,
  format: DataFormat,
  split: SplitChoice | undefined,
  problems: DataProblem[],
): { readonly openers: Opener[]; readonly passedOver?: readonly PassedOver[] } {
  const named =
    (name: SplitChoice, open: () => Dataset): Opener =>
    () => [{ name, dataset: open() }];
  switch (format) {
    case 'folder': {
      const options = { emptyClasses: true };
      const whole = named('all', () => imageFolder(dir, {}, options));
      if (split === 'all') return { openers: [whole] };
      const { parts, passedOver } = folderLayout(dir);
      if (parts === undefined && split === undefined) return { openers: [whole] };
      const chosen = chosenParts(dir, parts ?? {}, split, problems);
      return {
        openers: chosen.map(({ name, of }) => named(name, () => imageFolder(of, {}, options))),
        passedOver: joinedPassedOver([passedOver, othersOf(parts ?? {}, chosen)]),
      };
    }
    case 'shards': {
      const options = { onProblem: (problem: InputError) => problems.push(damaged(problem)) };
      const { parts } = shardLayout(dir);
      const isWhole = split === 'all' || (split === undefined && Object.keys(parts).length === 0);
      if (isWhole) return { openers: [named('all', () => shards(dir, 'all', {}, options))] };
      const chosen = chosenParts(dir, parts, split, problems);
      return {
        openers: chosen.map(({ name }) => named(name, () => shards(dir, name, {}, options))),
        passedOver: othersOf(parts, chosen),
      };
    }
    case 'csv': {
      const splits = csvSplits(dir);
      const open = (name: SplitChoice) => named(name, () => csvPart(dir, name, { allowMissing: true }));
      if (split === 'all' || (split === undefined && splits === undefined)) return { openers: [open('all')] };
      const parts = Object.fromEntries((splits ?? []).map((name) => [name, name]));
      const chosen = chosenParts(dir, parts, split, problems);
      return { openers: chosen.map(({ name }) => open(name)), passedOver: othersOf(parts, chosen) };
    }
    default: {
      const names = split === undefined ? (['train', 'val'] as const) : [publishedPart(dir, split, format)];
      if (format === 'cifar-10' || format === 'cifar-100') {
        return { openers: names.map((name) => named(name, () => cifar(dir, format, name))) };
      }
      const openBoth = () => {
        const pair = openDataset({ format, path: dir });
        return names.map((name) => ({ name, dataset: pair[name] }));
      };
      return { openers: [openBoth] };
    }
  }
}

interface ChosenPart<T> {
  readonly name: Split;
  readonly of: T;
}

/** The requested part, or train and val if they exist. */
function chosenParts<T>(
  dir: string,
  parts: Readonly<Partial<Record<Split, T>>>,
  split: Split | undefined,
  problems: DataProblem[],
): ChosenPart<T>[] {
  const wanted = split === undefined ? (['train', 'val'] as const) : [split];
  const found = wanted.flatMap((name) => {
    const of = parts[name];
    return of === undefined ? [] : [{ name, of }];
  });
  const has = Object.keys(parts).join(' and ') || 'no splits';
  if (found.length === 0) {
    const names = wanted.map(namesOfSplit).join(', or ');
    throw new InputError(`${dir} has no split named ${names}: it has ${has}`, {
      hint: 'Choose another --split, or name the folder that directly contains the images.',
    });
  }
  for (const name of wanted) {
    if (parts[name] !== undefined) continue;
    const detail = `no split named ${namesOfSplit(name)}: ${dir} has ${has}; a run needs train and val`;
    problems.push({ kind: 'missing_part', images: [], detail });
  }
  return found;
}

function othersOf<T>(
  parts: Readonly<Partial<Record<Split, T>>>,
  chosen: readonly ChosenPart<T>[],
): PassedOver[] {
  const names = Object.keys(parts).filter((part) => chosen.every(({ name }) => name !== part));
  return names.length === 0
    ? []
    : [{ reason: 'splits that --split did not select', count: names.length, examples: names }];
}
