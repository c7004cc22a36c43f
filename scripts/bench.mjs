#!/usr/bin/env node
/**
 * Runs a bench of bench/*.bench.ts on the compiled sources; without a name, lists them.
 *
 *   npm run bench [-- NAME [arguments of the bench]]
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BENCH_SUFFIX, benchNames, compileBenches, compiledBench } from './lib/benches.mjs';
import { passThrough } from './lib/exec.mjs';
import { main, SetupError } from './lib/failure.mjs';
import { root } from './lib/paths.mjs';
import { setUp } from './lib/set-up.mjs';

await main(async () => {
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined) return list();
  if (!benchNames().includes(name)) {
    throw new SetupError(`there is no bench/${name}${BENCH_SUFFIX}.`, {
      hint: `There are: ${benchNames().join(', ')}.`,
      exitCode: 2,
    });
  }
  await setUp();
  await compileBenches();
  return passThrough(process.execPath, [compiledBench(name), ...args], { cwd: root });
});

function list() {
  const width = Math.max(0, ...benchNames().map((name) => name.length));
  for (const name of benchNames()) {
    const text = readFileSync(join(root, 'bench', name + BENCH_SUFFIX), 'utf8');
    const about = text.match(/^\/\*\*\s*(?:\*\s*)?(.+?)\s*(?:\*\/)?$/m)?.[1] ?? '';
    process.stdout.write(`${name.padEnd(width)}  ${about}\n`);
  }
  return 0;
}
