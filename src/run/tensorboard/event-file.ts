import { appendFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withFileErrors } from '../../files/file-errors.js';
import { startEvent, summaryEvent, versionEvent } from './events.js';
import { tfRecord } from './tfrecord.js';

export interface EventFile {
  readonly path: string;
  /** Appends values (see events.ts) for a step, and writes them immediately. */
  append(step: number, values: readonly Uint8Array[]): void;
}

export interface EventFileOptions {
  /** Number of steps done before. 0 deletes earlier event files. */
  readonly fromStep: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Starts a TensorBoard event file, in the same folder as those of earlier sessions. An earlier session may have recorded
 * steps after the checkpoint from which this one resumes, so the new file marks their events of those steps as void.
 *
 * Throws `InputError` if the folder is not writable, `RunError` if the disk is full.
 */
export function openEventFile(
  folder: string,
  { fromStep, now = () => Date.now() }: EventFileOptions,
): EventFile {
  return withFileErrors(folder, () => {
    mkdirSync(folder, { recursive: true });
    const before = eventFilesIn(folder);
    if (fromStep === 0) for (const name of before) rmSync(join(folder, name));
    // TensorBoard reads files in the order of their names, which must not depend on differences between machines' clocks.
    const newest = Math.max(0, ...before.map((name) => Number(name.split('.')[3])));
    const seconds = Math.max(Math.floor(now() / 1000), newest + 1);
    const path = join(folder, `events.out.tfevents.${String(seconds).padStart(10, '0')}.deep-incubation`);
    const add = (event: Uint8Array) => withFileErrors(path, () => appendFileSync(path, tfRecord(event)));
    add(versionEvent(now() / 1000));
    if (fromStep > 0) add(startEvent({ wallTime: now() / 1000, step: fromStep + 1 }));
    return {
      path,
      append: (step, values) => add(summaryEvent({ wallTime: now() / 1000, step }, values)),
    };
  });
}

function eventFilesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => /^events\.out\.tfevents\.\d+\./.test(name));
}
