#!/usr/bin/env node
/**
 * The demo from a fresh clone: set-up, then the whole method on Fashion-MNIST in minutes.
 *
 *   npm run demo [-- further arguments of `deep-incubation run`]
 */
import { passThrough } from './lib/exec.mjs';
import { main } from './lib/failure.mjs';
import { root } from './lib/paths.mjs';
import { setUp } from './lib/set-up.mjs';

await main(async () => {
  await setUp();
  const args = [
    'dist/cli/main.js',
    'run',
    'recipes/demo.yaml',
    '--out',
    'runs/demo',
    ...process.argv.slice(2),
  ];
  return passThrough(process.execPath, args, { cwd: root });
});
