import { appendFileSync } from 'node:fs';
import { visible } from '../../base/visible.js';
import { withFileErrors } from '../../files/file-errors.js';

/** Appends a line with a timestamp to a phase's `log.txt`. */
export type Log = (line: string) => void;

export function openLog(path: string, now: () => Date = () => new Date()): Log {
  return (line) =>
    withFileErrors(path, () => appendFileSync(path, `${now().toISOString()} ${visible(line)}\n`));
}
