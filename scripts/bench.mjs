#!/usr/bin/env node
/**
 * Runs a bench of bench/*.bench.ts on the compiled sources; without a name, lists them.
 *
 *   npm run bench [-- NAME [arguments of the bench]]
 */
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { passThrough } from './lib/exec.mjs';
import { main, SetupError } from './lib/failure.mjs';
import { root } from './lib/paths.mjs';
import { setUp } from './lib/set-up.mjs';
import { runTsc } from './lib/typescript.mjs';

const SUFFIX = '.bench.ts';

await main(async () => {
  const [name, ...args] = process.argv.slice(2);
  if (name === undefined) return list();
  if (!benches().includes(name)) {
    throw new SetupError(`there is no bench/${name}${SUFFIX}.`, {
      hint: `There are: ${benches().join(', ')}.`,
      exitCode: 2,
    });
  }
  await setUp();
  await compileBenches();
  return passThrough(process.execPath, [`dist-bench/bench/${name}.bench.js`, ...args], { cwd: root });
});

function benches() {
  const names = readdirSync(join(root, 'bench')).filter((file) => file.endsWith(SUFFIX));
  return names.map((file) => file.slice(0, -SUFFIX.length)).sort();
}

function list() {
  const width = Math.max(0, ...benches().map((name) => name.length));
  for (const name of benches()) {
    const text = readFileSync(join(root, 'bench', name + SUFFIX), 'utf8');
    const about = text.match(/^\/\*\*\s*(?:\*\s*)?(.+?)\s*(?:\*\/)?$/m)?.[1] ?? '';
    process.stdout.write(`${name.padEnd(width)}  ${about}\n`);
  }
  return 0;
}

/** Benches import `../src/…`; beside their output, src is a link to the built dist. */
async function compileBenches() {
  const result = await runTsc(root, ['-p', 'tsconfig.bench.json']);
  if (result.code !== 0) throw new SetupError('the benches do not compile.', { details: result.output });
  const link = join(root, 'dist-bench/src');
  if (!existsSync(link)) symlinkSync('../dist', link);
}
