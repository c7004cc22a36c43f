import { describe, expect, it } from 'vitest';
import { countTests, skipAll, sumCounts, summaryOf } from './run-tests.mjs';

const passed = { status: 'passed' };
const failed = { status: 'failed' };
/** @param {string} skipReason @param {boolean} [skipOptional] */
const skipped = (skipReason, skipOptional = false) => ({
  status: 'skipped',
  meta: { skipReason, skipOptional },
});
const CHROMIUM = 'no Chromium (apt-get install chromium)';

/** @param {{ status: string, assertionResults: object[] }[]} testResults */
function report(testResults) {
  const all = testResults.flatMap(({ assertionResults }) => assertionResults);
  return JSON.stringify({
    numPassedTests: all.filter((each) => each === passed).length,
    numFailedTests: all.filter((each) => each === failed).length,
    testResults,
  });
}

describe('countTests', () => {
  it('counts tests, and a file that did not load as one failure', () => {
    const text = report([
      { status: 'failed', assertionResults: [passed, failed] },
      { status: 'failed', assertionResults: [] },
      { status: 'passed', assertionResults: [passed] },
    ]);
    expect(countTests(text, { exitCode: 1, ci: false })).toEqual({ passed: 2, failed: 2, skips: [] });
  });

  it('counts a failed run without a failed test as one failure', () => {
    const text = report([{ status: 'passed', assertionResults: [passed, passed, passed] }]);
    expect(countTests(text, { exitCode: 1, ci: false })).toMatchObject({ passed: 3, failed: 1 });
    expect(countTests('{}', { exitCode: 1, ci: true })).toMatchObject({ passed: 0, failed: 1 });
  });

  it('counts skips by reason, over all files, most first', () => {
    const text = report([
      { status: 'passed', assertionResults: [passed, skipped('no GPU', true), skipped(CHROMIUM)] },
      { status: 'passed', assertionResults: [skipped(CHROMIUM)] },
    ]);
    expect(countTests(text, { exitCode: 0, ci: false })).toEqual({
      passed: 1,
      failed: 0,
      skips: [
        { reason: CHROMIUM, count: 2, failure: false },
        { reason: 'no GPU (optional)', count: 1, failure: false },
      ],
    });
  });

  it('counts skips in CI as failed, unless they are optional', () => {
    const text = report([
      { status: 'passed', assertionResults: [passed, skipped('no GPU', true), skipped(CHROMIUM)] },
    ]);
    const counts = countTests(text, { exitCode: 0, ci: true });
    expect(counts.failed).toBe(1);
    expect(counts.skips.map(({ failure }) => failure)).toEqual([false, true]);
  });

  it.each([{ status: 'skipped' }, { status: 'todo' }, { status: 'pending', meta: {} }])(
    'counts %j, which has no reason, as a failure in CI',
    (test) => {
      const text = report([{ status: 'passed', assertionResults: [passed, test] }]);
      const { failed: failures, skips } = countTests(text, { exitCode: 0, ci: true });
      expect(failures).toBe(1);
      expect(skips[0]?.reason).toMatch(/^without a reason/);
      expect(countTests(text, { exitCode: 0, ci: false }).failed).toBe(0);
    },
  );

  it('distinguishes tests after a failed hook from tests without a reason', () => {
    const text = report([{ status: 'failed', assertionResults: [{ status: 'skipped' }] }]);
    expect(countTests(text, { exitCode: 1, ci: false })).toEqual({
      passed: 0,
      failed: 1,
      skips: [{ reason: 'not reached: an earlier step failed', count: 1, failure: false }],
    });
  });
});

describe('summaryOf', () => {
  it('ends with passed and failed only if nothing is skipped', () => {
    expect(summaryOf({ passed: 3, failed: 0, skips: [] })).toBe('3 passed, 0 failed\n');
  });

  it('prints a line for each reason; the last line counts what is not a failure', () => {
    const skips = [
      { reason: CHROMIUM, count: 12, failure: true },
      { reason: 'no GPU (optional)', count: 2, failure: false },
    ];
    expect(summaryOf({ passed: 3, failed: 12, skips })).toBe(
      `12 skipped: ${CHROMIUM}; CI is set, so they count as failed\n2 skipped: no GPU (optional)\n` +
        '3 passed, 12 failed, 2 skipped\n',
    );
  });

  it('adds up several runs, including one that could not run', () => {
    const skips = [{ reason: CHROMIUM, count: 1, failure: false }];
    const runs = [
      { passed: 3, failed: 1, skips },
      { passed: 4, failed: 0, skips },
    ];
    expect(summaryOf(sumCounts([...runs, skipAll('no Node 24', { ci: false })]))).toBe(
      `2 skipped: ${CHROMIUM}\n1 skipped: no Node 24\n7 passed, 1 failed, 3 skipped\n`,
    );
    expect(sumCounts([...runs, skipAll('no Node 24', { ci: true })]).failed).toBe(2);
  });
});
