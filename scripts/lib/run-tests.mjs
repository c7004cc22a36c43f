import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { passThrough } from './exec.mjs';
import { root } from './paths.mjs';

/**
 * Runs vitest on this terminal.
 * @param {string[]} args  filters and flags of vitest
 */
export async function runTests(args) {
  const folder = mkdtempSync(join(tmpdir(), 'deep-incubation-tests-'));
  const file = join(folder, 'results.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const vitest = join(root, 'node_modules/.bin/vitest');
    const exitCode = await passThrough(vitest, ['run', ...reporters, ...args], { cwd: root });
    return { ...countTests(existsSync(file) ? readFileSync(file, 'utf8') : '{}', exitCode), exitCode };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Counts a vitest JSON report. A test file that did not load counts as one failure, and so does a
 * run that failed otherwise (an error outside any test, a crash of vitest).
 * @param {string} report
 * @param {number} exitCode
 */
export function countTests(report, exitCode) {
  /** @type {{ numPassedTests?: number, numFailedTests?: number, testResults?: { status: string, assertionResults: { status: string }[] }[] }} */
  const { numPassedTests = 0, numFailedTests = 0, testResults = [] } = JSON.parse(report);
  const broken = testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  const failed = numFailedTests + broken.length;
  return { passed: numPassedTests, failed: exitCode === 0 ? failed : Math.max(1, failed) };
}
