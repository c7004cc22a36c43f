import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, hostname, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../src/launch/processes/ranks.js';
import { DAEMON_PATH } from './needs.js';

export interface Cluster {
  /** Environment for programs that use this Slurm. */
  readonly env: NodeJS.ProcessEnv;
  /** Runs a program of Slurm. */
  slurm(program: string, ...args: readonly string[]): string;
  stop(): Promise<void>;
}

/** A Slurm of one node, this machine, with daemons, key, ports and files of its own, for this user. */
export async function startCluster(): Promise<Cluster> {
  const folder = mkdtempSync(join(tmpdir(), 'deep-incubation-slurm-'));
  // All users must be able to access munged's socket.
  chmodSync(folder, 0o755);
  const at = (name: string) => join(folder, name);
  for (const name of ['state', 'spool', 'munge']) mkdirSync(at(name), { mode: 0o755 });
  writeFileSync(at('munge/key'), randomBytes(1024), { mode: 0o600 });
  writeFileSync(at('slurm.conf'), await configuration(folder));
  const env = { ...process.env, PATH: DAEMON_PATH, SLURM_CONF: at('slurm.conf') };
  const daemons: ChildProcess[] = [];
  const daemon = (program: string, args: readonly string[]) => {
    const child = spawn(program, args, { env, stdio: 'ignore' });
    child.on('error', () => {});
    daemons.push(child);
  };
  const slurm: Cluster['slurm'] = (program, ...args) =>
    execFileSync(program, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim();

  const stop = async () => {
    for (const child of daemons.reverse()) {
      child.kill('SIGTERM');
      for (let i = 0; i < 50 && child.exitCode === null && child.signalCode === null; i++) await sleep(100);
      child.kill('SIGKILL');
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    daemon('munged', [
      ...['--foreground', '--force', `--key-file=${at('munge/key')}`, `--socket=${at('munge/socket')}`],
      ...[
        `--pid-file=${at('munge/pid')}`,
        `--log-file=${at('munge/log')}`,
        `--seed-file=${at('munge/seed')}`,
      ],
    ]);
    await waitFor(() => existsSync(at('munge/socket')), 'munged', at('munge/log'));
    daemon('slurmctld', ['-D', '-f', at('slurm.conf')]);
    daemon('slurmd', ['-D', '-f', at('slurm.conf')]);
    const isUp = () => {
      try {
        return slurm('sinfo', '--noheader', '--format=%T') === 'idle';
      } catch {
        return false;
      }
    };
    await waitFor(isUp, 'an idle node', at('slurmctld.log'));
  } catch (error) {
    await stop();
    throw error;
  }
  return { env, slurm, stop };
}

async function configuration(folder: string): Promise<string> {
  const node = hostname().split('.')[0];
  const user = userInfo().username;
  return `ClusterName=test
SlurmctldHost=${node}(127.0.0.1)
SlurmctldPort=${await freePort()}
SlurmdPort=${await freePort()}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
AuthInfo=socket=${folder}/munge/socket
StateSaveLocation=${folder}/state
SlurmdSpoolDir=${folder}/spool
SlurmctldPidFile=${folder}/slurmctld.pid
SlurmdPidFile=${folder}/slurmd.pid
SlurmctldLogFile=${folder}/slurmctld.log
SlurmdLogFile=${folder}/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=1,bf_interval=1
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
KillWait=30
NodeName=${node} NodeAddr=127.0.0.1 CPUs=${Math.max(4, availableParallelism())} State=UNKNOWN
PartitionName=main Nodes=${node} Default=YES MaxTime=INFINITE State=UP
`;
}

async function waitFor(condition: () => boolean, what: string, log: string): Promise<void> {
  for (const end = Date.now() + 60_000; !condition(); await sleep(100)) {
    if (Date.now() < end) continue;
    throw new Error(
      `waited in vain for ${what}:\n${existsSync(log) ? readFileSync(log, 'utf8').slice(-3000) : 'no log'}`,
    );
  }
}
