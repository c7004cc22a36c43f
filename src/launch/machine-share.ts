import { InputError } from '../base/errors.js';
import type { Phase } from '../recipe/phases.js';
import { isTogether } from '../recipe/recipe-model.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { deviceAmong } from '../torch/engine.js';

/** What a machine has for phases to share. */
export interface Machine {
  readonly cores: number;
  /** GPUs that libtorch sees. */
  readonly gpus: number;
}

export interface MachineShare {
  /** Processes (with ranks: groups of them) that run at the same time. */
  readonly atATime: number;
  /** Processes over which modules are dealt out that are incubated together: one a device. */
  readonly teams: number;
  /** Whether a phase runs beside others. */
  joins(phase: Phase): boolean;
  /** For a phase that runs alone. */
  readonly whole: PhasePlace;
  ofSlot(slot: number): PhasePlace;
}

/** What a phase's processes have: `ranks` of them, with `threads` each. */
export interface PhasePlace {
  readonly ranks: number;
  readonly firstLocalRank: number;
  readonly threads: number;
  readonly device: string;
}

/**
 * Shares out a machine: a GPU for each process if the recipe's device is `auto` or `cuda` and there are GPUs, the one
 * GPU of `cuda:<n>` to one process at a time, else cores evenly.
 * @throws InputError for a device that libtorch does not see, or more processes of a phase than GPUs
 */
export function shareOf(recipe: Recipe, phases: readonly Phase[], { cores, gpus }: Machine): MachineShare {
  const { run } = recipe;
  const { ranks } = run;
  const devices = gpusFor(run.device, gpus);
  requireGpuForEach(recipe, devices);
  const modules = Math.max(1, phases.filter(isModule).length);
  const room = Math.max(1, Math.floor((devices.length || cores) / ranks));
  // A GPU is one device. Processes of fewer threads use a CPU better; two modules in each still share.
  const teamsHere = devices.length > 0 ? room : Math.min(room, Math.ceil(modules / 2));
  const teams = run.parallel === 'auto' ? teamsHere : run.parallel;
  const most = isTogether(recipe) && ranks === 1 ? Math.min(modules, teams) : modules;
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

const isModule = (phase: Phase): boolean => phase.name.startsWith('MT/');

/** The GPUs that a run's phases may use; none on the CPU. */
function gpusFor(wish: string, gpus: number): string[] {
  const first = deviceAmong(wish, gpus);
  if (first === 'cpu') return [];
  const isOne = wish.includes(':');
  return isOne ? [first] : Array.from({ length: gpus }, (_, i) => `cuda:${i}`);
}

function requireGpuForEach({ run }: Recipe, devices: readonly string[]): void {
  if (devices.length === 0 || run.ranks <= devices.length) return;
  if (run.device.includes(':')) {
    throw new InputError(`run.ranks ${run.ranks}: run.device ${run.device} is one GPU`, {
      hint: 'set run.device to cuda',
    });
  }
  throw new InputError(`run.ranks ${run.ranks}: this machine has ${devices.length} GPUs`, {
    hint: `choose at most ${devices.length}`,
  });
}
