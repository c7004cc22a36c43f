import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Processes that the kernel killed for want of memory so far: of this process's control group (cgroup v2's
 * `memory.events`, v1's `memory.oom_control`), else of the machine. A kill for the machine's want of memory is counted
 * in the victim's group too. Nothing where the system does not tell.
 * @param root of the file system, for tests
 */
export function oomKills(root = '/'): number | undefined {
  const groups = (read(join(root, 'proc/self/cgroup')) ?? '').split('\n').map((line) => line.split(':'));
  const v1 = groups.find(([, controllers]) => controllers?.split(',').includes('memory'))?.[2];
  const v2 = groups.find(([id]) => id === '0')?.[2];
  const mount = join(root, 'sys/fs/cgroup');
  // Inside a container the path may be the host's, and the mount the group itself.
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
