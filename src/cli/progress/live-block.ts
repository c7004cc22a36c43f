import { stripVTControlCharacters } from 'node:util';

/** What is needed of `process.stderr`. */
export interface TextStream {
  write(text: string): unknown;
  readonly columns?: number;
  readonly rows?: number;
}

/** Lines at the bottom of a terminal that are redrawn in place, under lines that stay. */
export interface LiveBlock {
  /** Characters that a line may have without wrapping. */
  columns(): number;
  /** Replaces the lines. Each must fit `columns()`; those beyond the terminal's height are left out. */
  draw(lines: readonly string[]): void;
  /** Writes a line that stays, above. */
  print(line: string): void;
}

export function createLiveBlock(stream: TextStream): LiveBlock {
  let shown: readonly string[] = [];
  // The last column stays free: some terminals wrap as soon as it is written.
  const columns = () => Math.max((stream.columns || 80) - 1, 1);

  const erase = () => {
    const width = columns() + 1;
    // A terminal made narrower since has wrapped the lines that were drawn.
    const rows = shown.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(stripVTControlCharacters(line).length / width)),
      0,
    );
    return rows === 0 ? '' : `\x1b[${rows}A\r\x1b[0J`;
  };
  const render = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');

  return {
    columns,
    draw: (lines) => {
      const most = Math.max((stream.rows ?? 24) - 1, 1);
      const fitting =
        lines.length <= most ? lines : [...lines.slice(0, most - 1), `  and ${lines.length - most + 1} more`];
      if (fitting.length === shown.length && fitting.every((line, index) => line === shown[index])) return;
      const text = erase() + render(fitting);
      shown = fitting;
      if (text !== '') stream.write(text);
    },
    print: (line) => stream.write(`${erase()}${line}\n${render(shown)}`),
  };
}
