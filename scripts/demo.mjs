#!/usr/bin/env node
/**
 * The demo from a fresh clone: set-up, Deep Incubation and its end-to-end baseline on Fashion-MNIST, and then two alternatives of
 * the same cost: growth without modules, and only the meta model, trained longer. Prints all results in one table.
 *
 *   npm run demo [-- further arguments of `deep-incubation run`]
 */
import { availableParallelism } from 'node:os';
import { alternatives, comparison } from './lib/demo.mjs';
import { capture, passThrough } from './lib/exec.mjs';
import { main, SetupError } from './lib/failure.mjs';
import { root } from './lib/paths.mjs';
import { setUp } from './lib/set-up.mjs';

const RECIPE = 'recipes/demo.yaml';
const COMMAND = 'dist/cli/main.js';

/** @param {string[]} args */
async function cli(...args) {
  const result = await capture(process.execPath, [COMMAND, ...args], { cwd: root });
  if (result.code !== 0) throw new SetupError(`${args[0]} failed.`, { details: result.output });
  return result.stdout;
}

await main(async () => {
  await setUp();
  const { out, settings, isWhole, args } = parsed(process.argv.slice(2));
  const code = await passThrough(process.execPath, [COMMAND, 'run', RECIPE, ...args], { cwd: root });
  if (code !== 0 || !isWhole) return code;

  const plan = JSON.parse(await cli('plan', RECIPE, ...settings, '--json'));
  const { growth, meta } = alternatives(plan, {
    out,
    threads: Math.max(1, Math.floor(availableParallelism() / 2)),
  });
  console.log(
    '\nThe same cost again, spent in two other ways: growth without modules, and only the meta model.',
  );
  const longer = cli('run', RECIPE, ...settings, ...meta, '--quiet');
  longer.catch(() => {}); // reported below, after the run that shows its progress
  const ended = await passThrough(process.execPath, [COMMAND, 'run', RECIPE, ...settings, ...growth], {
    cwd: root,
  });
  await longer;
  if (ended === 0) console.log(`\n${comparison(out)}`);
  return ended;
});

/**
 * The folder of the run, the settings that the alternatives share, and whether the arguments leave a whole run to compare with.
 * @param {string[]} given
 */
function parsed(given) {
  const at = given.indexOf('--out');
  const out = at >= 0 ? given[at + 1] : 'runs/demo';
  const settings = given.flatMap((each, i) => (each === '--set' ? given.slice(i, i + 2) : []));
  const others = given.filter(
    (each, i) => ![each, given[i - 1]].some((word) => word === '--set' || word === '--out'),
  );
  return { out, settings, isWhole: others.length === 0, args: at >= 0 ? given : ['--out', out, ...given] };
}
