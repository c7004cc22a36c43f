import { visibleLine } from '../../base/visible.js';
import { painted } from './terminal.js';

/** Prints a value as the only thing on stdout. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2));
}

/** Prints lines on stdout: results. */
export function print(...lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

/** Prints text of this program's own in which it has chosen colours, on stdout. */
export function printPainted(text: string): void {
  process.stdout.write(painted(`${text}\n`));
}

/** Prints a line on stderr: what is not part of the result. */
export function note(line: string): void {
  process.stderr.write(`${visibleLine(line)}\n`);
}

/** Cells in columns as wide as they need to be: the first `left` flush left, the others flush right. */
export function columns(table: readonly (readonly string[])[], left = 1): string[] {
  const rows = table.map((row) => row.map(visibleLine));
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const pad = (cell: string, column: number) =>
    column < left ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}

/** A line under each column of what `columns` makes. */
export function rule(lines: readonly string[]): string {
  return '-'.repeat(Math.max(...lines.map((line) => line.length)));
}
