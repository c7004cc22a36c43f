import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/**
 * Cores that this process may use: those that its affinity allows, less where a control group gives it less processor time, as
 * containers do (`docker run --cpus 2`). More threads than that would be stopped for a part of each period while the others
 * wait for them. Node counts control groups itself only in newer versions.
 */
export function availableCores(files = '/'): number {
  const quota = cgroupCores(files);
  return Math.max(1, Math.min(availableParallelism(), Math.floor(quota)));
}

/**
 * Processor seconds a second that the control groups of this process allow, the least of the group and those above it; infinite
 * without a limit. Version 2 has `cpu.max`, version 1 `cpu.cfs_quota_us`
 * (https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files).
 * @param files the root of the file system
 */
export function cgroupCores(files = '/'): number {
  const groups = read(join(files, 'proc/self/cgroup')) ?? '';
  const limits = groups.split('\n').flatMap((line) => {
    const [number, controllers, path] = line.split(':');
    if (path === undefined) return [];
    const mount = join(files, 'sys/fs/cgroup');
    if (number === '0' && controllers === '') return upwards(path).map((at) => limitV2(join(mount, at)));
    if (!controllers.split(',').includes('cpu')) return [];
    return ['cpu', controllers].flatMap((name) => upwards(path).map((at) => limitV1(join(mount, name, at))));
  });
  return Math.min(Number.POSITIVE_INFINITY, ...limits);
}

/** A path and those above it, up to the root: in a container the path may be that of the host, of which only the root is there. */
function upwards(path: string): string[] {
  const parts = path.split('/').filter(Boolean);
  return Array.from({ length: parts.length + 1 }, (_, up) => parts.slice(0, parts.length - up).join('/'));
}

/** `max 100000`, or microseconds of processor time a period. */
function limitV2(group: string): number {
  const [quota, period] = (read(join(group, 'cpu.max')) ?? '').trim().split(' ').map(Number);
  return limitOf(quota, period);
}

function limitV1(group: string): number {
  const [quota, period] = ['cpu.cfs_quota_us', 'cpu.cfs_period_us'].map((name) =>
    Number(read(join(group, name)) ?? Number.NaN),
  );
  return limitOf(quota, period);
}

function limitOf(quota: number, period: number): number {
  const isLimit = quota > 0 && period > 0;
  return isLimit ? quota / period : Number.POSITIVE_INFINITY;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // There is no such control group.
    return undefined;
  }
}
