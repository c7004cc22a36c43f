import { dirname, isAbsolute, join, normalize } from 'node:path';
import Papa from 'papaparse';
import { InputError } from '../../base/errors.js';
import { readSmall } from '../../files/small-file.js';
import { className } from '../class-names.js';
import { namesOfSplit, SPLITS, splitOfName } from '../splits.js';
import { type NameList, nameListBuilder } from './name-list.js';

/** The rows of a CSV file that lists images. */
export interface CsvTable {
  readonly file: string;
  /** The path of each image; a relative path starts in the folder of the file. */
  readonly images: NameList;
  /** The line of each row, starting at 1. */
  readonly lines: readonly number[];
  /** For each row: index into `labelNames`; -1 if the label is empty or there is no column `label`. */
  readonly labels: readonly number[];
  /** The distinct labels, in the order of their first row, in Unicode NFC. */
  readonly labelNames: readonly string[];
  /** For each row: index into `SPLITS`. Undefined if there is no column `split`. */
  readonly splits: readonly number[] | undefined;
}

/** Whether a path is that of a list of images, by its extension. */
export function isCsvPath(path: string): boolean {
  return /\.(csv|tsv)$/i.test(path);
}

/** Maximum size of a file, in bytes. V8's strings are shorter than 2^29 characters. */
const MOST_BYTES = 2 ** 29 - 25;

const DELIMITERS = [',', '\t', ';'] as const;

const COLUMNS =
  'The first line must name the columns: path, and optionally label and split. Other columns are ignored.';

interface Columns {
  readonly delimiter: string;
  readonly count: number;
  readonly path: number;
  /** -1 if there is no such column. */
  readonly label: number;
  readonly split: number;
}

/**
 * Reads a CSV file (RFC 4180, UTF-8) with a header that has the column `path`, and optionally `label` and `split`, in any order.
 * Commas, semicolons or tabs separate the fields; the header decides. Lines end with LF or CRLF, and empty lines are ignored.
 * Spaces around labels and splits are removed.
 *
 * @throws InputError with the line, if the file is not such a table, a path is empty or repeated, or a split is unknown.
 */
export function readCsvTable(file: string): CsvTable {
  const text = decoded(file);
  const columns = columnsOf(file, text);
  const images = nameListBuilder();
  const lines: number[] = [];
  const labels: number[] = [];
  const splits: number[] = [];
  const labelIds = new Map<string, number>();
  const seen = new Map<string, number>();
  for (const { fields, line } of rowsOf(file, text, columns)) {
    const name = fields[columns.path];
    const path = isAbsolute(name) ? normalize(name) : join(dirname(file), name);
    const before = seen.get(path);
    if (before !== undefined) {
      throw atLine(file, line, `${name} is already on line ${before}`, 'List each image once.');
    }
    seen.set(path, line);
    images.add(path);
    lines.push(line);
    labels.push(columns.label < 0 ? -1 : idOf(labelIds, className(fields[columns.label].trim())));
    if (columns.split >= 0) splits.push(splitAt(file, line, fields[columns.split].trim()));
  }
  if (lines.length === 0) throw new InputError(`${file} lists no images`, { hint: COLUMNS });
  return {
    file,
    images: images.build(),
    lines,
    labels,
    labelNames: [...labelIds.keys()],
    splits: columns.split < 0 ? undefined : splits,
  };
}

/** Whether the first line of a file names the columns of a list of labelled images. */
export function hasLabelColumns(file: string): boolean {
  const columns = foundColumns(decoded(file));
  return columns !== undefined && columns.label >= 0;
}

export function atLine(file: string, line: number, what: string, hint: string): InputError {
  return new InputError(`${file}, line ${line}: ${what}`, { hint });
}

function decoded(file: string): string {
  const bytes = readSmall(file, MOST_BYTES);
  try {
    // Removes a byte-order mark.
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.replace(/\r\n?/g, '\n');
  } catch (cause) {
    const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff);
    throw new InputError(`${file} is not UTF-8 text${utf16 ? ' but UTF-16' : ''}`, {
      hint: 'Save it as CSV in UTF-8.',
      cause,
    });
  }
}

function foundColumns(text: string): Columns | undefined {
  const header = firstLine(text);
  for (const delimiter of DELIMITERS) {
    const [fields] = Papa.parse<string[]>(header, { delimiter, newline: '\n' }).data;
    const names = (fields ?? []).map((name) => name.trim().toLowerCase());
    const at = (name: string) => names.indexOf(name);
    if (at('path') < 0) continue;
    return { delimiter, count: names.length, path: at('path'), label: at('label'), split: at('split') };
  }
  return undefined;
}

function columnsOf(file: string, text: string): Columns {
  const columns = foundColumns(text);
  if (columns !== undefined) return columns;
  const header = firstLine(text).slice(0, 100);
  throw new InputError(`${file} has no column path: its first line is ${JSON.stringify(header)}`, {
    hint: COLUMNS,
  });
}

function firstLine(text: string): string {
  return text.replace(/^(?:[^\S\n]*\n)+/, '').split('\n', 1)[0];
}

interface Row {
  readonly fields: readonly string[];
  readonly line: number;
}

/** The rows after the header, without empty lines. */
function rowsOf(file: string, text: string, { delimiter, count, path }: Columns): Row[] {
  const rows: Row[] = [];
  let line = 1;
  let isHeader = true;
  Papa.parse<string[]>(text, {
    delimiter,
    newline: '\n',
    step: ({ data: fields, errors: [error] }) => {
      const at = line;
      line += 1 + fields.reduce((breaks, field) => breaks + (field.split('\n').length - 1), 0);
      if (error !== undefined) {
        throw atLine(
          file,
          at,
          error.message.toLowerCase(),
          'Quote a field as "a, b", and write a quote in it as "".',
        );
      }
      if (fields.length === 1 && fields[0].trim() === '') return;
      if (isHeader) {
        isHeader = false;
        return;
      }
      requireFields(file, { fields, line: at }, { count, path });
      rows.push({ fields, line: at });
    },
  });
  return rows;
}

function requireFields(
  file: string,
  { fields, line }: Row,
  { count, path }: Pick<Columns, 'count' | 'path'>,
): void {
  if (fields.length !== count) {
    throw atLine(
      file,
      line,
      `${fields.length} fields, but the header has ${count}`,
      'Quote fields that contain the separator.',
    );
  }
  if (fields[path] === '')
    throw atLine(file, line, 'the path is empty', 'Name the file of the image, or remove the line.');
  if (fields[path].includes('\0'))
    throw atLine(file, line, 'the path contains the character U+0000', 'Write the file again.');
}

function splitAt(file: string, line: number, name: string): number {
  const split = splitOfName(name);
  if (split !== undefined) return SPLITS.indexOf(split);
  const what = name === '' ? 'the split is empty' : `unknown split ${JSON.stringify(name)}`;
  throw atLine(file, line, what, `A split is ${SPLITS.map(namesOfSplit).join(', ')}.`);
}

/** The number of a label; -1 for an empty one. */
function idOf(ids: Map<string, number>, name: string): number {
  if (name === '') return -1;
  const id = ids.get(name) ?? ids.size;
  ids.set(name, id);
  return id;
}
