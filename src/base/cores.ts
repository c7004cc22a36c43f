import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

/**
 * Number of cores that this process may use: those that its affinity allows, or fewer if a control group limits its CPU time,
 * as in containers (`docker run --cpus 2`). With more threads than that, the kernel would suspend some of them for a part of
 * each period while the rest wait for them. Only newer versions of Node take control groups into account.
 */
export function availableCores(files = '/'): number {
  const quota = cgroupCores(files);
  return Math.max(1, Math.min(availableParallelism(), Math.floor(quota)));
}

/**
 * CPU seconds per second that the control groups of this process allow: the minimum over its group and the parents, or infinity
 * without a limit. cgroup v2 uses `cpu.max`, v1 uses `cpu.cfs_quota_us`
 * (https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files).
 * @param files root of the file system
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

/** A path and its parents up to the root. In a container the path may be the host's, of which only the root exists. */
function upwards(path: string): string[] {
  const parts = path.split('/').filter(Boolean);
  return Array.from({ length: parts.length + 1 }, (_, up) => parts.slice(0, parts.length - up).join('/'));
}

/** Parses `max 100000` or `<quota> <period>`, both in microseconds. */
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
    // The control group does not exist.
    return undefined;
  }
}
