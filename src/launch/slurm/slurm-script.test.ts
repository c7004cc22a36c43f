import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { batchScript, ranges } from './slurm-script.js';

const SCRIPT = {
  name: 'mine-PT',
  output: '/runs/my run/PT/slurm-%j.txt',
  options: ['--time=1:00:00'],
  ranks: 2,
  setup: 'module load cuda',
  command: ['work', '$run', '$phase'],
  phase: 'PT',
  restarts: 2,
  warning: 90,
  runDir: '/runs/my run',
};

test('the resources requested from Slurm', () => {
  const asked = batchScript({ ...SCRIPT, array: [0, 1, 2, 5] }).matchAll(/^#SBATCH (.*)$/gm);
  expect(Array.from(asked, ([, option]) => option)).toEqual([
    '--job-name=mine-PT',
    "'--output=/runs/my run/PT/slurm-%j.txt'",
    '--open-mode=append',
    '--array=0-2,5',
    '--ntasks=2',
    '--requeue',
    '--signal=B:USR1@90',
    '--time=1:00:00',
  ]);
});

test('ranges name every number once', () => {
  expect(ranges([3])).toBe('3');
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(30), { minLength: 1 }), (numbers) => {
      const named = ranges(numbers)
        .split(',')
        .flatMap((part) => {
          const [from, to = from] = part.split('-').map(Number);
          return Array.from({ length: to - from + 1 }, (_, i) => from + i);
        });
      expect(named).toEqual([...numbers].sort((a, b) => a - b));
    }),
  );
});

describe('the script, with stand-ins for the programs of Slurm', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'batch script-'));
    mkdirSync(join(folder, 'PT/checkpoints'), { recursive: true });
    program('scontrol', '[ "$1" = show ] && echo node7 || echo "scontrol $*" >> "$CALLS"');
    program('scancel', 'echo "scancel $*" >> "$CALLS"');
    program('squeue', 'echo "$STATE"');
    program('sleep', ':');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function program(name: string, body: string): void {
    writeFileSync(join(folder, name), `#!/bin/bash\n${body}\n`);
    chmodSync(join(folder, name), 0o755);
  }

  /** @param srun ends like the work; `$n` counts its starts from 1 */
  function run(srun: string, env: NodeJS.ProcessEnv = {}) {
    const calls = join(folder, 'calls');
    writeFileSync(calls, '');
    program(
      'srun',
      `n=$(( $(grep -c ^srun "$CALLS") + 1 ))\necho "srun $* restarts=$DEEP_INCUBATION_RESTARTS $MASTER_ADDR:$MASTER_PORT" >> "$CALLS"\n${srun}`,
    );
    const script = batchScript({ ...SCRIPT, setup: 'export SETUP=1', runDir: folder });
    const { status } = spawnSync('bash', ['-c', script], {
      env: {
        PATH: `${folder}:${process.env.PATH}`,
        CALLS: calls,
        SLURM_JOB_ID: '12',
        SLURM_JOB_NODELIST: 'node7',
        STATE: 'RUNNING',
        ...env,
      },
    });
    const lines = readFileSync(calls, 'utf8').trimEnd().replaceAll(folder, 'RUN').split('\n');
    return { status, lines };
  }

  test('done: once', () => {
    const lines = ['srun work RUN PT restarts=0 node7:20012'];
    expect(run('exit 0')).toEqual({ status: 0, lines });
  });

  test.each([1, 2])('exit code %i is not a crash: no restart', (code) => {
    expect(run(`exit ${code}`)).toMatchObject({ status: code, lines: [expect.stringMatching(/^srun/)] });
  });

  test.each([137, 139, 125])('exit code %i is a crash: restarted a limited number of times', (code) => {
    const { status, lines } = run(`exit ${code}`, { SLURM_RESTART_COUNT: '4' });
    expect(status).toBe(code);
    expect(lines.map((line) => /restarts=(\d+)/.exec(line)?.[1])).toEqual(['4', '5', '6']);
  });

  test('a new checkpoint resets the count', () => {
    const { status, lines } = run('if [ $n -lt 5 ]; then mkdir "$2/PT/checkpoints/$n"; fi; exit 139');
    // Four deaths with a checkpoint each, of which the last counts, then two more.
    expect([status, lines.length]).toEqual([139, 6]);
  });

  test('stopped by a signal: queued again', () => {
    const { status, lines } = run('exit 143');
    expect([status, lines[1]]).toEqual([143, 'scontrol requeue 12']);
  });

  test('cancelled: not queued again', () => {
    expect(run('exit 143', { STATE: 'COMPLETING' }).lines).toHaveLength(1);
  });

  test('the warning before the time limit: the process is notified once, and the job queued again', () => {
    const work =
      'trap "exit 143" TERM; kill -USR1 $PPID; for i in 1 2 3 4 5 6 7 8 9; do /bin/sleep 0.1; done; exit 143';
    expect(run(work).lines.slice(1)).toEqual(['scancel --signal=TERM 12', 'scontrol requeue 12']);
  });
});
