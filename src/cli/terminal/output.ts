import { visible, visibleButColours, visibleLine } from '../../base/visible.js';

/**
 * Makes a stream escape the control characters in all text, whatever code writes it: names, metadata and messages may come from
 * untrusted files. Bytes are written unchanged; the program's own terminal sequences are written with `toTerminal` and `painted`.
 */
export function escapeText(stream: NodeJS.WriteStream): void {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  stream.write = (chunk: unknown, ...rest: unknown[]) =>
    write(typeof chunk === 'string' ? visible(chunk) : chunk, ...rest);
}

/** This program's own sequence that moves the cursor, erases or colours. */
export function toTerminal(sequence: string): Uint8Array {
  return Buffer.from(sequence);
}

/** This program's own text with its colours; other control characters are escaped. */
function painted(text: string): Uint8Array {
  return toTerminal(visibleButColours(text));
}

/** Prints a value as the only thing on stdout. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2));
}

/** Prints result lines on stdout. */
export function print(...lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${line}\n`).join(''));
}

/** Prints this program's own text with its colours on stdout. */
export function printPainted(text: string): void {
  process.stdout.write(painted(`${text}\n`));
}

/** Prints a line on stderr that is not part of the result. */
export function note(line: string): void {
  process.stderr.write(`${visibleLine(line)}\n`);
}

/** Formats a table with columns of minimum width: the first `left` columns are left-aligned, the rest right-aligned. */
export function columns(table: readonly (readonly string[])[], left = 1): string[] {
  const rows = table.map((row) => row.map(visibleLine));
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const pad = (cell: string, column: number) =>
    column < left ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
  return rows.map((row) => row.map(pad).join('  ').trimEnd());
}

/** A line as wide as the output of `columns`. */
export function rule(lines: readonly string[]): string {
  return '-'.repeat(Math.max(...lines.map((line) => line.length)));
}

/**
 * Prints one line `assumed: TEXT` on stderr for each decision that a command made because neither the input nor the user
 * specified it. Lower layers return the texts.
 */
export function noteAssumed(assumptions: readonly string[]): void {
  for (const text of assumptions) note(`assumed: ${text}`);
}
