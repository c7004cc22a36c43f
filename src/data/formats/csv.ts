import { statSync } from 'node:fs';
import { InputError } from '../../base/errors.js';
import { pathOf, shownName, sortedNames } from '../../files/file-names.js';
import { className, listed, numberNames } from '../class-names.js';
import type { Dataset } from '../dataset.js';
import { namesOfSplit, SPLITS, type Split, type SplitChoice } from '../splits.js';
import { atLine, type CsvTable, readCsvTable } from './csv-table.js';

/** Facts about the classes that are known before a list is read. */
interface CsvClasses {
  /** Names of the classes. Labels that are all among them are names, even if they look like numbers. */
  readonly classes?: readonly string[] | undefined;
  /** Number of classes of the model. */
  readonly modelClasses?: number | undefined;
}

interface CsvOptions extends CsvClasses {
  /** Accepts rows whose file does not exist. By default, they are an error. */
  readonly allowMissing?: boolean;
}

/**
 * The training and validation images of a CSV file (see `readCsvTable`). Labels are class numbers if every label of the file is a
 * whole number without leading zeros; otherwise they are class names, numbered in sorted order as the folders of `imageFolder`.
 *
 * @throws InputError as `readCsvTable`; if a split has no rows; if a row has no label, a class that `train` does not have, or a
 *   file that does not exist.
 */
export function csvPair(
  file: string,
  { evalSplit = 'val', ...known }: CsvClasses & { readonly evalSplit?: 'val' | 'test' | undefined },
): { train: Dataset; val: Dataset } {
  const table = readCsvTable(file);
  const [train, val] = (['train', evalSplit] as const).map((split) => partOf(table, split, known));
  const other = evalSplit === 'val' ? 'test' : 'val';
  const count = rowsOfPart(table, other).length;
  const reason = `rows of the split ${other}, which data.eval_split did not select`;
  const passedOver = count === 0 ? [] : [{ reason, count, examples: [shownName(file)] }];
  return { train: { ...train, passedOver }, val: withClassesOf(table, train, val, evalSplit) };
}

/** The training rows, or all rows of a file without the column `split`. `unread` names the other splits. */
export function csvTraining(
  file: string,
  known: CsvClasses,
): { readonly train: Dataset; readonly unread: string | undefined } {
  const table = readCsvTable(file);
  if (table.splits === undefined) return { train: partOf(table, 'all', known), unread: undefined };
  const others = SPLITS.filter((split) => split !== 'train' && rowsOfPart(table, split).length > 0);
  return {
    train: partOf(table, 'train', known),
    unread: others.length === 0 ? undefined : `the rows of ${others.join(' and ')}`,
  };
}

/** The images to evaluate on. Default: those of `val`, or all rows of a file without the column `split`. */
export function csvPart(file: string, split: SplitChoice | undefined, options: CsvOptions = {}): Dataset {
  const table = readCsvTable(file);
  const part = partOf(table, split ?? (table.splits === undefined ? 'all' : 'val'), options);
  if (table.splits === undefined || part.isUnnamed) return part;
  const train = classNamesOf(table, rowsOfPart(table, 'train'));
  const areInTrain = part.classes.every((name) => train.includes(name));
  return areInTrain ? withClasses(part, train) : part;
}

/** The class names of a file by label: those of its training rows, or of all rows if there are none. */
export function csvClasses(file: string): readonly string[] {
  const table = readCsvTable(file);
  const split = rowsOfPart(table, 'train').length > 0 ? 'train' : 'all';
  return partOf(
    table,
    split,
    { allowMissing: true },
    rowsOfPart(table, split).filter((row) => table.labels[row] >= 0),
  ).classes;
}

/** The splits that have rows; undefined if there is no column `split`. */
export function csvSplits(file: string): readonly Split[] | undefined {
  const table = readCsvTable(file);
  if (table.splits === undefined) return undefined;
  return SPLITS.filter((split) => rowsOfPart(table, split).length > 0);
}

function rowsOfPart({ splits, lines }: CsvTable, split: SplitChoice): number[] {
  const wanted = split === 'all' ? -1 : SPLITS.indexOf(split);
  return Array.from(lines.keys()).filter((row) => split === 'all' || splits?.[row] === wanted);
}

function partOf(
  table: CsvTable,
  split: SplitChoice,
  { classes: names, modelClasses, allowMissing = false }: CsvOptions,
  rows = rowsOfPart(table, split),
): Dataset {
  if (rows.length === 0) throw withoutRows(table, split);
  requireLabels(table, rows);
  if (!allowMissing) requireFiles(table, rows);
  const isNumbered = hasNumbers(table) && !areAmong(table, names);
  const classes = isNumbered
    ? numberNames(numberOfClasses(table, rows, names?.length ?? modelClasses))
    : classNamesOf(table, rows);
  const labelOf = isNumbered ? table.labelNames.map(Number) : table.labelNames.map(labelIn(classes));
  const labels = Int32Array.from(rows, (row) => labelOf[table.labels[row]]);
  const path = (i: number) => table.images.at(rows[i]);
  return {
    length: rows.length,
    classes,
    isUnnamed: isNumbered,
    label: (i) => labels[i],
    describe: (i) => shownName(path(i)),
    source: (i) => ({ file: path(i) }),
  };
}

/** Whether all labels are class numbers. */
function hasNumbers({ labelNames }: CsvTable): boolean {
  return labelNames.every((name) => /^(0|[1-9]\d{0,5})$/.test(name));
}

function areAmong({ labelNames }: CsvTable, names: readonly string[] | undefined): boolean {
  const known = new Set(names?.map(className));
  return labelNames.every((name) => known.has(name));
}

/** The number of classes of a file with class numbers; some classes may have no images. */
function numberOfClasses(table: CsvTable, rows: readonly number[], known: number | undefined): number {
  const numbers = table.labelNames.map(Number);
  if (known === undefined) return numbers.reduce((most, number) => Math.max(most, number), 0) + 1;
  const wrong = rows.find((row) => numbers[table.labels[row]] >= known);
  if (wrong === undefined) return known;
  const what = `label ${numbers[table.labels[wrong]]}, but the model has ${known} classes`;
  throw atLine(table.file, table.lines[wrong], what, 'Labels must be from 0 to the number of classes - 1.');
}

/** Sorted as in `classLabels`. */
function classNamesOf({ labels, labelNames }: CsvTable, rows: readonly number[]): string[] {
  const used = new Set(rows.map((row) => labels[row]));
  return sortedNames(labelNames.filter((_, id) => used.has(id)));
}

/** The validation images with the labels of the training images. */
function withClassesOf(table: CsvTable, train: Dataset, val: Dataset, evalSplit: Split): Dataset {
  if (val.isUnnamed) return val;
  const unknown = val.classes.filter((name) => !train.classes.includes(name));
  if (unknown.length === 0) return withClasses(val, train.classes);
  const row = rowsOfPart(table, evalSplit).find((each) =>
    unknown.includes(table.labelNames[table.labels[each]]),
  );
  const line = row === undefined ? 1 : table.lines[row];
  const what = `no training image has the class ${listed(unknown)}`;
  throw atLine(table.file, line, what, `The classes of train are: ${listed(train.classes)}.`);
}

function withClasses(dataset: Dataset, classes: readonly string[]): Dataset {
  const labelOf = dataset.classes.map(labelIn(classes));
  return { ...dataset, classes, label: (i) => labelOf[dataset.label(i)] };
}

function labelIn(classes: readonly string[]): (name: string) => number {
  const labels = new Map(classes.map((name, label) => [name, label]));
  return (name) => labels.get(name) ?? -1;
}

function requireLabels({ file, lines, labels }: CsvTable, rows: readonly number[]): void {
  const without = rows.filter((row) => labels[row] < 0);
  if (without.length === 0) return;
  const which = linesText(without.map((row) => lines[row]));
  throw new InputError(`${file}, ${which}: the label is missing`, {
    hint: 'Training and evaluation need the column label: fill it in, or remove the rows. `predict` needs no labels.',
  });
}

function requireFiles({ file, lines, images }: CsvTable, rows: readonly number[]): void {
  const missing = rows.filter(
    (row) => !statSync(pathOf(images.at(row)), { throwIfNoEntry: false })?.isFile(),
  );
  if (missing.length === 0) return;
  const names = listed(missing.map((row) => `${shownName(images.at(row))} (line ${lines[row]})`));
  throw new InputError(`${file}: ${missing.length} of ${rows.length} images not found: ${names}`, {
    hint: `Paths are relative to the folder of ${file}. \`data check\` lists all of them.`,
  });
}

const MOST_LINES = 5;

/** `line 3`, or `lines 3, 5 and 7 more` */
function linesText(lines: readonly number[]): string {
  return lines.length === 1 ? `line ${lines[0]}` : `lines ${listed(lines.map(String), MOST_LINES)}`;
}

function withoutRows({ file, splits }: CsvTable, split: SplitChoice): InputError {
  const used = SPLITS.filter((_, i) => splits?.includes(i));
  const has = splits === undefined ? 'it has no column split' : `it has ${used.join(' and ')}`;
  const named = split === 'all' ? 'rows' : `rows of the split ${namesOfSplit(split)}`;
  return new InputError(`${file} has no ${named}: ${has}`, {
    hint:
      split === 'train' || split === 'all'
        ? 'Add a column split with train and val.'
        : 'Add them, choose --split train, test or all, or let a recipe hold out training images: `data.split: { val: 0.1 }`.',
  });
}
