#!/usr/bin/env node
/**
 * Every check of the project: set-up, types, style, layers, dead code, tests. Stops at the first that fails. The last
 * lines count skipped tests by reason; the very last is `N passed, N failed` or `N passed, N failed, N skipped`.
 *
 *   npm test                   all of it; the tests that run on any device also on the fake accelerator
 *   npm test -- src/data       only the tests under src/data
 *   npm test -- --install      install missing system packages (Chromium, Slurm, ...) with apt-get, as root
 *   npm test -- --no-install   install nothing: neither system packages nor Python packages nor Node versions
 *   npm test -- --all-nodes    run the tests of the addon and the command line with every supported Node too
 *
 * With CI=true system packages are installed, every supported Node is used, and a skipped test counts as failed unless
 * what it needs is optional (test/needs.ts).
 */
import { runChecks } from './lib/checks.mjs';
import { main, reportFailure, SetupError } from './lib/failure.mjs';
import { ensureNode, NODE_TESTS, otherNodes } from './lib/node-versions.mjs';
import { cacheRoot } from './lib/paths.mjs';
import { DEVICE_TESTS, runTests, skipAll, sumCounts, summaryOf } from './lib/run-tests.mjs';
import { setUp, TEST_STEPS } from './lib/set-up.mjs';
import { createSteps } from './lib/steps.mjs';
import { ensureSystemPackages } from './lib/system-packages.mjs';
import { testOptions } from './lib/test-options.mjs';
import { ensureTestPython } from './lib/test-python.mjs';

await main(async () => {
  const counts = await check(testOptions(process.argv.slice(2), process.env));
  process.stdout.write(summaryOf(counts));
  return counts.failed > 0 ? (counts.exitCode ?? 1) : 0;
});

/**
 * @param {import('./lib/test-options.mjs').TestOptions} options
 * @returns {Promise<import('./lib/run-tests.mjs').Counts & { exitCode?: number }>}
 */
async function check({ ci, install, provide, allNodes, vitest }) {
  const env = process.env;
  const cache = cacheRoot(env);
  const steps = createSteps();
  try {
    // First, because the addon is built with libjpeg-turbo if it is installed.
    await steps.run('system', (note) => ensureSystemPackages({ env, install, note }), String);
    const libtorch = await setUp({ only: TEST_STEPS });
    if (libtorch)
      await steps.run('python', (note) => ensureTestPython({ env, cache, provide, libtorch, note }), String);
    if (vitest.length === 0) await runChecks();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { passed: 0, failed: 1, skips: [], exitCode: reportFailure(error) };
  }
  const counts = [await runTests({ args: vitest, ci })];
  if (vitest.length === 0) counts.push(await runTests({ args: DEVICE_TESTS, ci, device: 'fake:0' }));
  for (const version of allNodes ? otherNodes() : []) {
    const found = await steps.run(
      `node ${version}`,
      (note) => ensureNode({ version, env, cache, provide, note }),
      (each) => ('node' in each ? each.node : each.missing),
    );
    counts.push(
      'node' in found
        ? await runTests({ args: NODE_TESTS, ci, node: found.node })
        : skipAll(found.missing, { ci }),
    );
  }
  return sumCounts(counts);
}
