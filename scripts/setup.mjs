#!/usr/bin/env node
/**
 * Makes a clone ready: npm packages, libtorch, the addon, the compiled sources, the demo's images.
 * A step is skipped if its result exists; none needs root.
 *
 *   node scripts/setup.mjs [--only libtorch,addon,build,images,packages] [--quiet]
 */
import { parseArgs } from 'node:util';
import { main, SetupError } from './lib/failure.mjs';
import { STEPS, setUp, TEST_STEPS } from './lib/set-up.mjs';

await main(async () => {
  const { only, quiet } = readFlags();
  await setUp({ only, quiet });
  return 0;
});

function readFlags() {
  try {
    const { values } = parseArgs({ options: { only: { type: 'string' }, quiet: { type: 'boolean' } } });
    const only = values.only?.split(',') ?? STEPS;
    const unknown = only.find((name) => !TEST_STEPS.includes(name));
    if (unknown !== undefined) throw new Error(`--only: unknown step '${unknown}'`);
    return { only, quiet: values.quiet ?? false };
  } catch (error) {
    throw new SetupError(error instanceof Error ? error.message : String(error), {
      hint: `Flags: --only ${TEST_STEPS.join(',')} and --quiet.`,
      exitCode: 2,
    });
  }
}
