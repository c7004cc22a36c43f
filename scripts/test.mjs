#!/usr/bin/env node
import { runChecks } from './lib/checks.mjs';
/**
 * Every check of the project: set-up, types, style, layers, dead code, tests. Stops at the first
 * that fails. The last line is `N passed, N failed`, counted in tests.
 *
 *   npm test                 all of it
 *   npm test -- src/data     the tests under src/data alone
 */
import { main, reportFailure, SetupError } from './lib/failure.mjs';
import { runTests } from './lib/run-tests.mjs';
import { setUp } from './lib/set-up.mjs';

await main(async () => {
  const args = process.argv.slice(2);
  const result = await check(args);
  process.stdout.write(`${result.passed} passed, ${result.failed} failed\n`);
  return result.exitCode;
});

/** @param {string[]} args */
async function check(args) {
  try {
    await setUp({ forTests: true });
    if (args.length === 0) await runChecks();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    return { passed: 0, failed: 1, exitCode: reportFailure(error) };
  }
  return runTests(args);
}
