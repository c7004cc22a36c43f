import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cacheRoot, fillWhole } from './paths.mjs';
import { temporaryFolder } from './testing.mjs';

describe('cacheRoot', () => {
  it('is the folder that is set, otherwise in the user’s cache folder', () => {
    expect(cacheRoot({ DEEP_INCUBATION_CACHE: '/a', XDG_CACHE_HOME: '/b' })).toBe('/a');
    expect(cacheRoot({ XDG_CACHE_HOME: '/b' })).toBe('/b/deep-incubation');
    expect(cacheRoot({})).toBe(join(homedir(), '.cache/deep-incubation'));
  });
});

describe('fillWhole', () => {
  it('creates the folder only when its content is complete', async () => {
    const folder = join(temporaryFolder(), 'x');
    await fillWhole(folder, async (temporary) => {
      writeFileSync(join(temporary, 'file'), '');
      expect(existsSync(folder)).toBe(false);
    });
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('leaves nothing after a failure, and keeps the earlier folder', async () => {
    const parent = temporaryFolder();
    mkdirSync(join(parent, 'x'));
    await expect(fillWhole(join(parent, 'x'), () => Promise.reject(new Error('full')))).rejects.toThrow(
      'full',
    );
    expect(readdirSync(parent)).toEqual(['x']);
  });

  it('removes what a killed process left, and nothing of a running one', async () => {
    const parent = temporaryFolder();
    const beyondAnyPid = 2 ** 30;
    mkdirSync(join(parent, `.x-${beyondAnyPid}-k`));
    mkdirSync(join(parent, `.x-${process.ppid}-k`));
    await fillWhole(join(parent, 'x'), async () => {});
    expect(readdirSync(parent).sort()).toEqual([`.x-${process.ppid}-k`, 'x']);
  });
});
