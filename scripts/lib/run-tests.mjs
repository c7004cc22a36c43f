import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { passThrough } from './exec.mjs';
import { root } from './paths.mjs';

/**
 * Runs vitest on this terminal.
 * @param {object} options
 * @param {string[]} options.args  filters and flags of vitest
 * @param {boolean} options.ci     a required test that is skipped counts as failed
 * @param {string} [options.node]  the Node to run it with, and to find on the PATH
 * @param {string} [options.device]  the device of the tests that can run on any
 */
export async function runTests({ args, ci, node = process.execPath, device }) {
  const folder = mkdtempSync(join(tmpdir(), 'deep-incubation-tests-'));
  const file = join(folder, 'results.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const command = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...reporters, ...args];
    const env = {
      ...process.env,
      PATH: `${dirname(node)}${delimiter}${process.env.PATH}`,
      ...(device && { DEEP_INCUBATION_TEST_DEVICE: device }),
    };
    const exitCode = await passThrough(node, command, { cwd: root, env });
    return countTests(existsSync(file) ? readFileSync(file, 'utf8') : '{}', { exitCode, ci });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Tests that run on any device, and also on the fake accelerator. */
export const DEVICE_TESTS = [
  'src/training/trainer.test.ts',
  'src/training/evaluate.test.ts',
  'src/training/ema.test.ts',
  'src/training/optimizers/',
  'src/tasks/distillation.test.ts',
  'src/phase/run-phase.test.ts',
];

/**
 * @typedef {object} Skip
 * @property {string} reason    why, and how to provide what is missing
 * @property {number} count     tests
 * @property {boolean} failure  it counts as failed
 */

/** @typedef {{ passed: number, failed: number, skips: Skip[] }} Counts */

/**
 * @typedef {object} Report  of vitest, as JSON
 * @property {number} [numPassedTests]
 * @property {number} [numFailedTests]
 * @property {{ status: string, assertionResults: { status: string, meta?: { skipReason?: string, skipOptional?: boolean } }[] }[]} [testResults]
 */

/**
 * Counts a vitest JSON report. A test file that did not load counts as one failure, and so does a run that failed otherwise
 * (an error outside any test, a crash of vitest). In CI a skip is a failure unless test/needs.ts calls it optional.
 * @param {string} report
 * @param {{ exitCode: number, ci: boolean }} options
 * @returns {Counts}
 */
export function countTests(report, { exitCode, ci }) {
  /** @type {Report} */
  const { numPassedTests = 0, numFailedTests = 0, testResults = [] } = JSON.parse(report);
  const broken = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = numFailedTests + broken.length;
  const skips = skipsOf(testResults, ci);
  const forbidden = skips.filter(({ failure }) => failure).reduce((sum, { count }) => sum + count, 0);
  return {
    passed: numPassedTests,
    failed: forbidden + (exitCode === 0 ? failed : Math.max(1, failed)),
    skips,
  };
}

const NO_REASON = 'without a reason (test/needs.ts gives one), or excluded by a filter';
const SUITE_FAILED = 'not reached: an earlier step failed';

/** @param {NonNullable<Report['testResults']>} files @param {boolean} ci */
function skipsOf(files, ci) {
  const skips = files.flatMap((file) =>
    file.assertionResults
      .filter(({ status }) => status !== 'passed' && status !== 'failed')
      .map(({ meta = {} }) => {
        const reason = meta.skipReason ?? (file.status === 'failed' ? SUITE_FAILED : NO_REASON);
        const optional = meta.skipOptional === true;
        return { reason: optional ? `${reason} (optional)` : reason, count: 1, failure: ci && !optional };
      }),
  );
  return merge(skips);
}

/** A run that could not take place, counted as one test. @param {string} reason @param {{ ci: boolean }} options @returns {Counts} */
export function skipAll(reason, { ci }) {
  return { passed: 0, failed: ci ? 1 : 0, skips: [{ reason, count: 1, failure: ci }] };
}

/** Adds up the counts of several runs. @param {Counts[]} all @returns {Counts} */
export function sumCounts(all) {
  return {
    passed: all.reduce((sum, { passed }) => sum + passed, 0),
    failed: all.reduce((sum, { failed }) => sum + failed, 0),
    skips: merge(all.flatMap(({ skips }) => skips)),
  };
}

/** One entry for each reason, most tests first. @param {Skip[]} skips */
function merge(skips) {
  /** @type {Map<string, Skip>} */
  const merged = new Map();
  for (const skip of skips) {
    const key = JSON.stringify([skip.reason, skip.failure]);
    merged.set(key, { ...skip, count: skip.count + (merged.get(key)?.count ?? 0) });
  }
  return [...merged.values()].sort((a, b) => b.count - a.count);
}

/**
 * The last lines of `npm test`: skips by reason, then `N passed, N failed` or `N passed, N failed, N skipped`.
 * @param {Counts} counts
 */
export function summaryOf({ passed, failed, skips }) {
  const lines = skips.map(
    ({ count, reason, failure }) =>
      `${count} skipped: ${reason}${failure ? '; CI is set, so they count as failed' : ''}`,
  );
  const skipped = skips.filter(({ failure }) => !failure).reduce((sum, { count }) => sum + count, 0);
  const total = `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  return `${[...lines, total].join('\n')}\n`;
}
