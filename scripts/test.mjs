#!/usr/bin/env node
/**
 * Every check of the project: set-up, types, style, layers, dead code, tests. Stops at the first that fails. The last
 * lines count skipped tests by reason; the very last is `N passed, N failed` or `N passed, N failed, N skipped`.
 *
 *   npm test                   all of it
 *   npm test -- src/data       the tests under src/data alone
 *   npm test -- --install      install missing system packages (Chromium, Slurm, ...) with apt-get, as root
 *   npm test -- --no-install   install nothing: neither system packages nor Python packages nor Node versions
 *   npm test -- --all-nodes    run the tests of the addon and the command line with every supported Node too
 *
 * With CI=true system packages are installed, every supported Node is used, and a skipped test counts as failed unless
 * what it needs is optional (test/needs.ts).
 */
import { runChecks } from './lib/checks.mjs';
import { main, reportFailure, SetupError } from './lib/failure.mjs';
import { runTests, summaryOf } from './lib/run-tests.mjs';
import { setUp } from './lib/set-up.mjs';
import { createSteps } from './lib/steps.mjs';
import { ensureSystemPackages } from './lib/system-packages.mjs';
import { testOptions } from './lib/test-options.mjs';

await main(async () => {
  const counts = await check(testOptions(process.argv.slice(2), process.env));
  process.stdout.write(summaryOf(counts));
  return counts.failed > 0 ? (counts.exitCode ?? 1) : 0;
});

/**
 * @param {import('./lib/test-options.mjs').TestOptions} options
 * @returns {Promise<import('./lib/run-tests.mjs').Counts & { exitCode?: number }>}
 */
async function check({ ci, install, vitest }) {
  const env = process.env;
  try {
    // First, since the addon is built with libjpeg-turbo where it is installed.
    await createSteps().run('system', (note) => ensureSystemPackages({ env, install, note }), String);
    await setUp();
    if (vitest.length === 0) await runChecks();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { passed: 0, failed: 1, skips: [], exitCode: reportFailure(error) };
  }
  return runTests({ args: vitest, ci });
}
