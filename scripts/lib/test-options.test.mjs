import { expect, it } from 'vitest';
import { testOptions } from './test-options.mjs';

it('installs system packages in CI or when asked, and never against --no-install', () => {
  const installs = (/** @type {string[]} */ args, CI = '') => testOptions(args, { CI }).install;
  expect([installs([]), installs(['--install'])]).toEqual([false, true]);
  expect([installs([], 'true'), installs([], '1'), installs([], 'false')]).toEqual([true, true, false]);
  expect([installs(['--no-install'], 'true'), installs(['--install', '--no-install'])]).toEqual([
    false,
    false,
  ]);
});

it('fetches into the cache unless --no-install is given', () => {
  expect(testOptions([], {}).provide).toBe(true);
  expect(testOptions(['--no-install'], { CI: 'true' }).provide).toBe(false);
});

it('runs every Node in CI, for all the tests, or when asked', () => {
  expect(testOptions([], { CI: 'true' }).allNodes).toBe(true);
  expect(testOptions(['src/data'], { CI: 'true' }).allNodes).toBe(false);
  expect(testOptions([], {}).allNodes).toBe(false);
  expect(testOptions(['--all-nodes'], {}).allNodes).toBe(true);
});

it("leaves vitest's arguments to vitest", () => {
  expect(testOptions(['src/data', '--no-install', '-t', 'x'], {}).vitest).toEqual(['src/data', '-t', 'x']);
});
