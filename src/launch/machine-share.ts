import { InputError } from '../base/errors.js';
import { isModule, isTogether, type Phase } from '../recipe/phase.js';
import type { RunSettings } from '../recipe/recipe-run.js';
import { deviceAmong } from '../torch/engine.js';

/** Resources of a machine that phases share. */
export interface Machine {
  readonly cores: number;
  /** Number of GPUs that libtorch sees. */
  readonly gpus: number;
}

export interface MachineShare {
  /** Number of processes (with ranks: of groups of processes) that run at the same time. */
  readonly atATime: number;
  /** Number of processes among which modules that are incubated together are divided. */
  readonly teams: number;
  /** Whether a phase may run at the same time as other phases. */
  joins(phase: Phase): boolean;
  /** Resources of a phase that runs by itself. */
  readonly whole: PhasePlace;
  ofSlot(slot: number): PhasePlace;
}

/** Resources of a phase: `ranks` processes with `threads` threads each. */
export interface PhasePlace {
  readonly ranks: number;
  readonly firstLocalRank: number;
  readonly threads: number;
  readonly device: string;
}

/**
 * Divides a machine among phases: one GPU per process if the device is `auto` or `cuda` and there are GPUs; the
 * GPU of `cuda:<n>` for one process at a time; otherwise an equal number of cores per process.
 * @throws InputError if libtorch does not see the device, or a phase has more processes than there are GPUs
 */
export function shareOf(run: RunSettings, phases: readonly Phase[], { cores, gpus }: Machine): MachineShare {
  const { ranks } = run;
  const devices = gpusFor(run.device, gpus);
  requireGpuForEach(run, devices);
  const modules = Math.max(1, phases.filter(isModule).length);
  const room = Math.max(1, Math.floor((devices.length || cores) / ranks));
  // One team per GPU. On a CPU, many processes with few threads are more efficient, and two modules in each still share work.
  const teamsHere = devices.length > 0 ? room : Math.min(room, Math.ceil(modules / 2));
  const teams = run.parallel === 'auto' ? teamsHere : run.parallel;
  const most = phases.some(isTogether) && ranks === 1 ? Math.min(modules, teams) : modules;
  const atATime = run.parallel === 'auto' ? Math.min(most, room) : run.parallel;
  const threads = (sharers: number) =>
    run.threads === 'auto' ? Math.max(1, Math.floor(cores / (sharers * ranks))) : run.threads;
  return {
    atATime,
    teams,
    joins: (phase) => run.parallel !== 'auto' || isModule(phase),
    whole: { ranks, firstLocalRank: 0, threads: threads(1), device: run.device },
    ofSlot: (slot) => ({
      ranks,
      firstLocalRank: ranks * slot,
      threads: threads(atATime),
      device: devices.length > 0 && ranks === 1 ? devices[slot % devices.length] : run.device,
    }),
  };
}

/** The GPUs that a run's phases may use; empty on the CPU. */
function gpusFor(wish: string, gpus: number): string[] {
  const first = deviceAmong(wish, gpus);
  if (first === 'cpu') return [];
  const isOne = wish.includes(':');
  return isOne ? [first] : Array.from({ length: gpus }, (_, i) => `cuda:${i}`);
}

function requireGpuForEach(run: RunSettings, devices: readonly string[]): void {
  if (devices.length === 0 || run.ranks <= devices.length) return;
  if (run.device.includes(':')) {
    throw new InputError(`run.ranks ${run.ranks}: run.device ${run.device} is only one GPU`, {
      hint: 'set run.device to cuda',
    });
  }
  throw new InputError(`run.ranks ${run.ranks}: this machine has ${devices.length} GPUs`, {
    hint: `choose at most ${devices.length}`,
  });
}
