import { InputError, RunError } from '../../base/errors.js';

/** The place of this process among those that train together, and the address at which they connect. */
export interface Rank {
  readonly rank: number;
  /** Number of processes, 2 or more. */
  readonly size: number;
  /** Rank among the processes on this machine. */
  readonly localRank: number;
  readonly host: string;
  readonly port: number;
  /** Whether this process opens the store through which all processes connect. */
  readonly serves: boolean;
}

/** c10d's default. */
const PORT = 29500;

/** c10d's default is 10 minutes for NCCL, 30 for Gloo. */
const TIMEOUT_SECONDS = 600;

/** A longer timeout, in milliseconds, is too large for c10d's store, which then gives up immediately. */
const MOST_SECONDS = 2_000_000;

/**
 * Seconds to wait for other processes to join or to respond: DEEP_INCUBATION_RANK_TIMEOUT, or 600.
 * @throws InputError unless it is an integer from 1 to 2 million
 */
export function timeoutIn(env: NodeJS.ProcessEnv): number {
  return integer(env, 'DEEP_INCUBATION_RANK_TIMEOUT', {
    least: 1,
    most: MOST_SECONDS,
    otherwise: TIMEOUT_SECONDS,
    hint: `it is the time in seconds that the processes of a phase wait for each other; unset it for the default of ${TIMEOUT_SECONDS}`,
  });
}

/** Launchers, by the variables that they set. mpirun comes before Slurm, because it may run inside Slurm. */
const LAUNCHERS = [
  { rank: 'RANK', size: 'WORLD_SIZE', localRank: 'LOCAL_RANK' },
  {
    rank: 'OMPI_COMM_WORLD_RANK',
    size: 'OMPI_COMM_WORLD_SIZE',
    localRank: 'OMPI_COMM_WORLD_LOCAL_RANK',
  },
  { rank: 'PMI_RANK', size: 'PMI_SIZE', localRank: 'MPI_LOCALRANKID' },
  { rank: 'SLURM_PROCID', size: 'SLURM_NTASKS', localRank: 'SLURM_LOCALID' },
] as const;

/** Whether torchrun, srun or mpirun started this process, even if it is the only one. */
export function isLaunched(env: NodeJS.ProcessEnv): boolean {
  return LAUNCHERS.some(({ rank }) => env[rank] !== undefined);
}

/**
 * This process's rank, from the environment: torchrun's variables (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR,
 * MASTER_PORT) or, if MASTER_ADDR is set, those of Open MPI, MPICH (Hydra) and Slurm. MASTER_PORT is optional.
 * Undefined if this process trains by itself.
 * @throws InputError naming a variable that is missing or invalid
 */
export function rankIn(env: NodeJS.ProcessEnv): Rank | undefined {
  const [torchrun] = LAUNCHERS;
  const isTorchrun = env[torchrun.rank] !== undefined || env[torchrun.size] !== undefined;
  const names = isTorchrun
    ? torchrun
    : LAUNCHERS.find((launcher) => env[launcher.rank] !== undefined && env[launcher.size] !== undefined);
  if (names === undefined || (!isTorchrun && env.MASTER_ADDR === undefined)) return undefined;

  const size = integer(env, names.size, { least: 1 });
  const rank = integer(env, names.rank, { most: size - 1 });
  if (size === 1) return undefined;
  const host = env.MASTER_ADDR;
  if (host === undefined || host === '') throw missing('MASTER_ADDR', 'the machine of rank 0');
  return {
    rank,
    size,
    localRank: integer(env, names.localRank, { otherwise: 0 }),
    host,
    port: integer(env, 'MASTER_PORT', { least: 1, most: 65_535, otherwise: PORT }),
    // By default, torchrun's agent process has already opened the store.
    serves: rank === 0 && env.TORCHELASTIC_USE_AGENT_STORE !== 'True',
  };
}

const SIZES_HERE = [
  'LOCAL_WORLD_SIZE',
  'OMPI_COMM_WORLD_LOCAL_SIZE',
  'MPI_LOCALNRANKS',
  'SLURM_NTASKS_PER_NODE',
];

/** Number of processes of this launch on this machine, if the launcher sets it; otherwise 1. */
export function ranksHere(env: NodeJS.ProcessEnv): number {
  if (rankIn(env) === undefined) return 1;
  const stated = SIZES_HERE.map((name) => Number(env[name])).find(
    (size) => Number.isSafeInteger(size) && size > 0,
  );
  return stated ?? 1;
}

interface Range {
  readonly least?: number;
  readonly most?: number;
  readonly otherwise?: number;
  readonly hint?: string;
}

const LAUNCHERS_OWN = 'it is set by torchrun, srun and mpirun; unset it to train in one process';

function integer(env: NodeJS.ProcessEnv, name: string, range: Range): number {
  const { least = 0, most, otherwise, hint = LAUNCHERS_OWN } = range;
  const text = env[name];
  if (text === undefined || text === '') {
    if (otherwise !== undefined) return otherwise;
    throw missing(name, 'a number');
  }
  const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= (most ?? Number.MAX_SAFE_INTEGER)) return number;
  const wanted = most === undefined ? `an integer from ${least}` : `an integer in ${least} ... ${most}`;
  throw new InputError(`the environment variable ${name} is ${text}, but must be ${wanted}`, { hint });
}

function missing(name: string, what: string): InputError {
  return new InputError(`the environment defines a rank, but not ${name}: ${what}`, {
    hint: 'start the processes with torchrun, or set RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT for each',
  });
}

/** Another process of the group is lost, or never joined. That process's own error, if any, states the cause. */
export class LostRank extends RunError {}
