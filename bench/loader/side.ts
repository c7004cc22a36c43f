import { spawnSync } from 'node:child_process';
import { RunError } from '../../src/base/errors.js';

/** What a side of the comparison is asked for: a process of its own. */
export interface Settings {
  readonly folder: string;
  readonly transform: 'train' | 'eval';
  /** The elements of a batch. Ours are 8-bit always, and normalised on the device. */
  readonly result?: 'uint8' | 'float32';
  readonly images: number;
}

export interface Timing {
  readonly ms: number;
  /** Of all threads and processes of the side. */
  readonly cpuMs: number;
  readonly images: number;
  /** sha256 of the first batch. */
  readonly digest: string;
}

/** Runs a side on one core alone. */
export function timed(core: string, command: readonly string[], settings: Settings): Timing {
  const args = ['-c', core, ...command, JSON.stringify(settings)];
  const { status, stdout, stderr, error } = spawnSync('taskset', args, { encoding: 'utf8' });
  if (status !== 0)
    throw new RunError(`${command.join(' ')} failed:\n${error?.message ?? stderr.slice(-4000)}`);
  return JSON.parse(stdout) as Timing;
}
