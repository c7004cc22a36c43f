import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Number of processes that the kernel has killed for lack of memory so far: in this process's control group (cgroup v2's
 * `memory.events`, v1's `memory.oom_control`), otherwise on the machine. A kill because the machine lacks memory also counts
 * in the victim's group. Undefined if the system does not report it.
 * @param root of the file system, for tests
 */
export function oomKills(root = '/'): number | undefined {
  const groups = (read(join(root, 'proc/self/cgroup')) ?? '').split('\n').map((line) => line.split(':'));
  const v1 = groups.find(([, controllers]) => controllers?.split(',').includes('memory'))?.[2];
  const v2 = groups.find(([id]) => id === '0')?.[2];
  const mount = join(root, 'sys/fs/cgroup');
  // In a container, the path may be that of the host, and the mount point the group itself.
  const files = [
    ...(v1 === undefined ? [] : [join('memory', v1, OOM_CONTROL), join('memory', OOM_CONTROL)]).map((path) =>
      join(mount, path),
    ),
    ...(v2 === undefined ? [] : [join(mount, v2, EVENTS), join(mount, EVENTS)]),
    join(root, 'proc/vmstat'),
  ];
  for (const file of files) {
    const count = read(file)?.match(/^oom_kill (\d+)$/m)?.[1];
    if (count !== undefined) return Number(count);
  }
  return undefined;
}

const EVENTS = 'memory.events';
const OOM_CONTROL = 'memory.oom_control';

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
