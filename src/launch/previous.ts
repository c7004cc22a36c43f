import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders, moveFolder, writeJsonAtomic } from '../files/atomic.js';
import { readJson, runFolder } from '../run/run-folder.js';

/** The next folder for files that are moved out of the way in a run: `previous/<n>`. */
export function nextPrevious(runDir: string): string {
  const root = join(runDir, 'previous');
  const numbers = existsSync(root) ? readdirSync(root).map(Number).filter(Number.isInteger) : [];
  return join(root, String(Math.max(0, ...numbers) + 1));
}

/** Creates the folder, with a copy of the recipe. */
export function beginPrevious(runDir: string, previous: string): void {
  makeFolders(previous);
  writeJsonAtomic(runFolder(previous).recipe, readJson(runFolder(runDir).recipe));
}

/** Moves the summary and the report, which describe phases that have been moved. The run writes new ones later. */
export function moveSummary(runDir: string, previous: string): void {
  for (const part of ['summary', 'report'] as const) {
    const path = runFolder(runDir)[part];
    if (existsSync(path)) moveFolder(path, runFolder(previous)[part]);
  }
}
