import { afterEach, expect, test, vi } from 'vitest';
import { expandHome, expandHomeInArguments } from './home.js';

afterEach(() => void vi.unstubAllEnvs());

test.each([
  ['~/data', '/home/me/data'],
  ['~', '/home/me'],
  ['~other/data', '~other/data'],
  ['data/~/x', 'data/~/x'],
  ['', ''],
])('%s is %s', (path, expected) => {
  vi.stubEnv('HOME', '/home/me');
  expect(expandHome(path).replace(/\/$/, '')).toBe(expected);
});

test('arguments, also after the name of their flag', () => {
  vi.stubEnv('HOME', '/home/me');
  const args = ['eval', '~/run/FT', '--data=~/images', '--out', '~/x', '--set', 'a=~', '--set=b=~/c'];
  expect(expandHomeInArguments(args)).toEqual([
    ...['eval', '/home/me/run/FT', '--data=/home/me/images', '--out', '/home/me/x', '--set', 'a=~'],
    '--set=b=~/c',
  ]);
});
