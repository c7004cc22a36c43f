import { existsSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { SetupError } from './failure.mjs';
import { root } from './paths.mjs';
import { runTsc } from './typescript.mjs';

export const BENCH_SUFFIX = '.bench.ts';

/** The benches of bench/*.bench.ts, in order. */
export function benchNames() {
  const files = readdirSync(join(root, 'bench')).filter((file) => file.endsWith(BENCH_SUFFIX));
  return files.map((file) => file.slice(0, -BENCH_SUFFIX.length)).sort();
}

/** Compiles the benches. They import `../src/…`, so in their output folder, src is a link to the built dist. */
export async function compileBenches() {
  const result = await runTsc(root, ['-p', 'tsconfig.bench.json']);
  if (result.code !== 0) throw new SetupError('the benches failed to compile.', { details: result.output });
  const link = join(root, 'dist-bench/src');
  if (!existsSync(link)) symlinkSync('../dist', link);
}

/** The path of a compiled bench. @param {string} name */
export const compiledBench = (name) => join(root, `dist-bench/bench/${name}.bench.js`);
