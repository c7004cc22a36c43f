import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { availableCores, cgroupCores } from './cores.js';

/** A file system with these files. */
function filesWith(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), 'cores-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const V2 = 'sys/fs/cgroup';

test.each([
  ['version 2, a container', { 'proc/self/cgroup': '0::/\n', [`${V2}/cpu.max`]: '150000 100000\n' }, 1.5],
  ['version 2, no limit', { 'proc/self/cgroup': '0::/\n', [`${V2}/cpu.max`]: 'max 100000\n' }, Infinity],
  [
    'version 2, the group above allows less',
    {
      'proc/self/cgroup': '0::/batch/job\n',
      [`${V2}/batch/cpu.max`]: '200000 100000\n',
      [`${V2}/batch/job/cpu.max`]: '400000 100000\n',
    },
    2,
  ],
  [
    "version 2, the path of a host that is not there in the container, whose group is the mount's root",
    { 'proc/self/cgroup': '0::/docker/0123\n', [`${V2}/cpu.max`]: '300000 100000\n' },
    3,
  ],
  [
    'version 1',
    {
      'proc/self/cgroup': '5:memory:/a\n4:cpu,cpuacct:/a\n',
      [`${V2}/cpu,cpuacct/a/cpu.cfs_quota_us`]: '400000\n',
      [`${V2}/cpu,cpuacct/a/cpu.cfs_period_us`]: '100000\n',
    },
    4,
  ],
  [
    'version 1, no limit',
    {
      'proc/self/cgroup': '4:cpu:/\n',
      [`${V2}/cpu/cpu.cfs_quota_us`]: '-1\n',
      [`${V2}/cpu/cpu.cfs_period_us`]: '100000\n',
    },
    Infinity,
  ],
  ['damaged', { 'proc/self/cgroup': 'x\n0::/\n', [`${V2}/cpu.max`]: '\n' }, Infinity],
  ['no control groups', {}, Infinity],
])('processor time that control groups allow: %s', (_, files, cores) => {
  expect(cgroupCores(filesWith(files))).toBe(cores);
});

test('cores are whole, at least one, and no more than there are', () => {
  const cores = (quota: number) =>
    availableCores(filesWith({ 'proc/self/cgroup': '0::/', [`${V2}/cpu.max`]: `${quota} 100000` }));
  expect(cores(20_000)).toBe(1);
  expect(cores(190_000)).toBe(1);
  expect(cores(100_000 * (availableParallelism() + 3))).toBe(availableParallelism());
  expect(availableCores(filesWith({}))).toBe(availableParallelism());
});
