import { stripVTControlCharacters } from 'node:util';
import { visibleButColours } from '../../base/visible.js';
import { toTerminal } from './output.js';

/** The parts of `process.stderr` that are used. */
export interface TextStream {
  write(text: string | Uint8Array): unknown;
  readonly columns?: number;
  readonly rows?: number;
}

/** Lines at the bottom of a terminal that are redrawn in place, below permanent lines. */
interface LiveBlock {
  /** Maximum length of a line without wrapping. */
  columns(): number;
  /** Replaces the lines. Each must fit `columns()`; lines that exceed the terminal's height are left out. */
  draw(lines: readonly string[]): void;
  /** Prints a permanent line above the block. Control characters other than colours are escaped, as in `draw`. */
  print(line: string): void;
}

export function createLiveBlock(stream: TextStream): LiveBlock {
  let shown: readonly string[] = [];
  // The last column stays empty because some terminals wrap as soon as it is written.
  const columns = () => Math.max((stream.columns || 80) - 1, 1);

  const erase = () => {
    const width = columns() + 1;
    // If the terminal has become narrower since, it has wrapped the lines.
    const rows = shown.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(stripVTControlCharacters(line).length / width)),
      0,
    );
    return rows === 0 ? '' : `\x1b[${rows}A\r\x1b[0J`;
  };
  const render = (lines: readonly string[]) => lines.map((line) => `${visibleButColours(line)}\n`).join('');

  return {
    columns,
    draw: (lines) => {
      const most = Math.max((stream.rows ?? 24) - 1, 1);
      const fitting =
        lines.length <= most ? lines : [...lines.slice(0, most - 1), `  and ${lines.length - most + 1} more`];
      if (fitting.length === shown.length && fitting.every((line, index) => line === shown[index])) return;
      const text = erase() + render(fitting);
      shown = fitting;
      if (text !== '') stream.write(toTerminal(text));
    },
    print: (line) => stream.write(toTerminal(`${erase()}${render([line])}${render(shown)}`)),
  };
}

const REDRAW_MS = 100;

interface ProgressLine {
  show(done: number, total: number): void;
  clear(): void;
}

/**
 * A progress line on a terminal; prints nothing elsewhere.
 *
 * @param what the counted items, such as `images`
 */
export function progressLine(stream: NodeJS.WriteStream, what: string): ProgressLine {
  const count = (value: number) => value.toLocaleString('en-US');
  let shown = Number.NEGATIVE_INFINITY;
  return {
    show: (done, total) => {
      const now = performance.now();
      if (!stream.isTTY || now - shown < REDRAW_MS) return;
      shown = now;
      stream.write(toTerminal(`\r${count(done)} of ${count(total)} ${what}`));
    },
    clear: () => {
      if (stream.isTTY) stream.write(toTerminal('\r\x1b[K'));
    },
  };
}
