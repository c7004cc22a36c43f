import { toTerminal } from './terminal.js';

const REDRAW_MS = 100;

export interface ProgressLine {
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
