import { existsSync } from 'node:fs';
import { readJson } from '../../run/run-folder.js';

/** Whether a JSON file with a `step` is of a step after `fromStep`, which is trained again; so is one that says nothing. */
export function isOfLaterStep(path: string, fromStep: number): boolean {
  if (!existsSync(path)) return false;
  try {
    const { step }: { step?: unknown } = Object(readJson(path));
    return typeof step !== 'number' || step > fromStep;
  } catch {
    return true;
  }
}
