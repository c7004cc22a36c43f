import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { oomKills } from './ranks.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'oom-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const EVENTS = 'low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 1\n';

test.each<[string, Record<string, string>, number | undefined]>([
  [
    'cgroup v2, where its path says',
    { 'proc/self/cgroup': '0::/user.slice/job_7\n', 'sys/fs/cgroup/user.slice/job_7/memory.events': EVENTS },
    3,
  ],
  [
    "cgroup v2 inside a container, where the path is the host's",
    { 'proc/self/cgroup': '0::/docker/abc\n', 'sys/fs/cgroup/memory.events': EVENTS },
    3,
  ],
  [
    'cgroup v1',
    {
      'proc/self/cgroup': '9:name=systemd:/\n4:memory:/job_7\n0::/\n',
      'sys/fs/cgroup/memory/job_7/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
      'proc/vmstat': 'oom_kill 8\n',
    },
    2,
  ],
  [
    'no group with a count: the machine',
    { 'proc/self/cgroup': '0::/\n', 'proc/vmstat': 'nr_free_pages 5\noom_kill 8\nnuma_hit 1\n' },
    8,
  ],
  ['a system without a count', {}, undefined],
])('%s', (_, files, kills) => {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  expect(oomKills(root)).toBe(kills);
});
