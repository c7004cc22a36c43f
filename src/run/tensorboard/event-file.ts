import { appendFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { withFileErrors } from '../../files/file-errors.js';
import { startEvent, summaryEvent, versionEvent } from './events.js';
import { tfRecord } from './tfrecord.js';

export interface EventFile {
  readonly path: string;
  /** Adds values (see events.ts) as of a step, and writes them at once. */
  append(step: number, values: readonly Uint8Array[]): void;
}

export interface EventFileOptions {
  /** Steps done before. 0: what was recorded before is deleted. */
  readonly fromStep: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/**
 * Begins an event file that TensorBoard reads, in a folder that has those of the sessions before. As those may have
 * gone further than the checkpoint that this one continues from, it declares what they have of later steps void.
 *
 * Throws `InputError` where the folder cannot be written, `RunError` where the disk is full.
 */
export function openEventFile(
  folder: string,
  { fromStep, now = () => Date.now() }: EventFileOptions,
): EventFile {
  return withFileErrors(folder, () => {
    mkdirSync(folder, { recursive: true });
    const before = eventFilesIn(folder);
    if (fromStep === 0) for (const name of before) rmSync(join(folder, name));
    // TensorBoard reads files in the order of their names: another machine's clock must not change it.
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
