import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * The path is relative to the compiled file in dist-bench/bench/. A smoke run writes elsewhere, so that it keeps real results.
 */
const folder =
  process.env.DEEP_INCUBATION_BENCH_RESULTS ??
  fileURLToPath(new URL('../../bench/results/', import.meta.url));

/** Writes bench/results/NAME.md and NAME.json. */
export function writeResults(name: string, text: string, data: object): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.md`), text.endsWith('\n') ? text : `${text}\n`);
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(data, null, 2)}\n`);
}
