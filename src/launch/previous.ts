import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders, moveFolder, writeJsonAtomic } from '../files/atomic.js';
import { readJson, runFolder } from '../run/run-folder.js';

/** The next folder for what is moved out of the way in a run: `previous/<n>`. */
export function nextPrevious(runDir: string): string {
  const root = join(runDir, 'previous');
  const numbers = existsSync(root) ? readdirSync(root).map(Number).filter(Number.isInteger) : [];
  return join(root, String(Math.max(0, ...numbers) + 1));
}

/** Makes that folder, with a copy of the recipe. */
export function beginPrevious(runDir: string, previous: string): void {
  makeFolders(previous);
  writeJsonAtomic(runFolder(previous).recipe, readJson(runFolder(runDir).recipe));
}

/** Moves summary and report, which describe what has been moved, until the run is summed up again. */
export function moveSummary(runDir: string, previous: string): void {
  for (const part of ['summary', 'report'] as const) {
    const path = runFolder(runDir)[part];
    if (existsSync(path)) moveFolder(path, runFolder(previous)[part]);
  }
}
