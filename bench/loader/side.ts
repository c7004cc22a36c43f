import { spawnSync } from 'node:child_process';
import { RunError } from '../../src/base/errors.js';

/** Settings for one side of the comparison, which runs in its own process. */
export interface Settings {
  readonly folder: string;
  readonly transform: 'train' | 'eval';
  /** Element type of PyTorch's batches. Our batches are always 8-bit and are normalised on the device. */
  readonly result?: 'uint8' | 'float32';
  readonly images: number;
}

export interface Timing {
  readonly ms: number;
  /** Processor time of all threads and processes of the side. */
  readonly cpuMs: number;
  readonly images: number;
  /** sha256 of the first batch. */
  readonly digest: string;
}

/** Runs one side on a single core. */
export function timed(core: string, command: readonly string[], settings: Settings): Timing {
  const args = ['-c', core, ...command, JSON.stringify(settings)];
  const { status, stdout, stderr, error } = spawnSync('taskset', args, { encoding: 'utf8' });
  if (status !== 0)
    throw new RunError(`${command.join(' ')} failed:\n${error?.message ?? stderr.slice(-4000)}`);
  return JSON.parse(stdout) as Timing;
}
