import { existsSync } from 'node:fs';
import { readJson } from '../../run/run-folder.js';

/** Whether a JSON file's `step` is after `fromStep`. Also true if the file has no step or cannot be read. */
export function isOfLaterStep(path: string, fromStep: number): boolean {
  if (!existsSync(path)) return false;
  try {
    const { step }: { step?: unknown } = Object(readJson(path));
    return typeof step !== 'number' || step > fromStep;
  } catch {
    return true;
  }
}
