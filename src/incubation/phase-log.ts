import { appendFileSync } from 'node:fs';

/** Adds lines with the time of day to a phase's `log.txt`. */
export type Log = (line: string) => void;

export function openLog(path: string, now: () => Date = () => new Date()): Log {
  return (line) => appendFileSync(path, `${now().toISOString()} ${line}\n`);
}
