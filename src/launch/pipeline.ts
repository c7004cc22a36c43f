import { availableCores } from '../base/cores.js';
import { InputError, Interrupted } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { requireThere } from '../files/file-errors.js';
import { compile, phaseNamed } from '../recipe/compile.js';
import { isModule, isTogether, needsOf, type Phase, type PhaseName, withNeeds } from '../recipe/phase.js';
import type { RunSettings } from '../recipe/recipe-run.js';
import { writeStatus } from '../run/phase-status.js';
import { readResult } from '../run/run-folder.js';
import { deviceAmong } from '../torch/engine.js';
import { countGpus, gpusOfDriver } from '../torch/gpu-count.js';
import { runPhaseProcess } from './phase-process.js';
import type { PreparedRun } from './prepare.js';

/** Resources of a machine that phases share. */
interface Machine {
  readonly cores: number;
  /** Number of GPUs that libtorch sees. */
  readonly gpus: number;
}

interface MachineShare {
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
interface PhasePlace {
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

export interface PipelineOptions {
  readonly prepared: PreparedRun;
  /** Run only these phases. */
  readonly only?: readonly PhaseName[];
  /** The command that starts a phase's process. `RUN PHASE --threads N --device D` is appended. */
  readonly command: readonly string[];
  /** When aborted, running phases save a checkpoint and end. */
  readonly signal?: AbortSignal;
  /** Called with notes for the user, such as restarts. */
  readonly note: (line: string) => void;
}

/**
 * Runs the unfinished phases of a run, each in its own process, as soon as the phases that it starts from are done. With
 * `run.parallel: auto`, as many modules run at the same time as the machine has room for, and all other phases run one at
 * a time. With a number, that many phases run at the same time, each with the same share of the machine.
 *
 * @returns the phases that were run
 * @throws InputError or RunError of the phase that failed; the other phases are stopped and can be resumed
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * const prepared = prepareRun(recipe, 'runs/pipeline');
 * // The phases that `only` names, each in a process of this command: none here.
 * const command = ['npx', 'deep-incubation', 'phase'];
 * const ran = await runPipeline({ prepared, command, note: console.log, only: [] });
 */
export async function runPipeline(options: PipelineOptions): Promise<PhaseName[]> {
  const { prepared, note } = options;
  const { recipe, runDir } = prepared;
  const isDone = (name: PhaseName) => readResult(runDir, name) !== undefined;
  const phases = compile(recipe);
  const wanted = options.only?.map((name) => phaseNamed(phases, name)) ?? phases;
  const undone = wanted.filter(({ name }) => !isDone(name));
  requireStartable({ phases, runDir }, undone, isDone);

  // Only phases that were begun before have a status to replace. A phase without one counts as waiting.
  for (const { name } of undone) writeStatus(runDir, name, WAITING);

  const share = shareOf(recipe.run, undone, await localMachine(recipe.run, note));
  const waiting = teamsOf(undone, share.teams);
  const failure = new AbortController();
  const signal = AbortSignal.any([failure.signal, ...(options.signal ? [options.signal] : [])]);
  const running = new Map<readonly Phase[], Promise<readonly Phase[]>>();
  const freeSlots = Array.from({ length: share.atATime }, (_, slot) => slot);
  const ran: PhaseName[] = [];

  const start = (team: readonly Phase[]): void => {
    waiting.splice(waiting.indexOf(team), 1);
    const slot = freeSlots.shift() as number;
    const place = team.every(share.joins) ? share.ofSlot(slot) : share.whole;
    const names = team.map(({ name }) => name);
    const process = runPhaseProcess({ ...options, ...place, runDir, phases: names, signal, note });
    running.set(
      team,
      process.then(
        () => {
          freeSlots.push(slot);
          return team;
        },
        (error) => {
          failure.abort(new Interrupted(`${names.join(', ')} failed`));
          throw error;
        },
      ),
    );
  };

  try {
    while (waiting.length + running.size > 0) {
      requireThere(runDir);
      for (const team of [...waiting]) {
        const isReady = team.flatMap(needsOf).every(isDone);
        const isAlone = running.size === 0;
        const joins = freeSlots.length > 0 && [...team, ...[...running.keys()].flat()].every(share.joins);
        if (isReady && (isAlone || joins)) start(team);
      }
      // If nothing can start, a result that existed at the beginning is gone.
      if (running.size === 0) requireStartable({ phases, runDir }, waiting.flat(), isDone);
      const ended = await Promise.race(running.values());
      running.delete(ended);
      ran.push(...ended.map(({ name }) => name));
    }
  } catch (error) {
    failure.abort();
    await Promise.allSettled(running.values());
    throw error;
  }
  return ran;
}

const WAITING = { state: 'waiting', pid: null, restarts: 0, last_error: null } as const;

/** Resources of this machine. GPUs are counted only if the run may use them. */
async function localMachine(run: RunSettings, note: PipelineOptions['note']): Promise<Machine> {
  const gpus = run.device === 'cpu' ? 0 : await countGpus();
  const offered = gpusOfDriver();
  if (run.device === 'auto' && gpus < offered) {
    note(
      `assumed: ${gpus === 0 ? 'run.device cpu' : `${gpus} GPUs`}; the driver shows ${offered}, libtorch sees ${gpus}: see \`npx deep-incubation doctor\``,
    );
  }
  return { cores: availableCores(), gpus };
}

/**
 * Checks that every one of `phases` starts from phases that are done or that are also to be run.
 * @param run all phases of the run, and its folder
 * @param launcher options of the command in the hint
 * @throws InputError naming the missing phases
 */
export function requireStartable(
  { phases: all, runDir }: { readonly phases: readonly Phase[]; readonly runDir: string },
  phases: readonly Phase[],
  isDone: (name: PhaseName) => boolean,
  launcher: readonly string[] = [],
): void {
  const names = phases.map(({ name }) => name);
  for (const phase of phases) {
    const missing = needsOf(phase).filter((need) => !isDone(need) && !names.includes(need));
    if (missing.length === 0) continue;
    const every = withNeeds(all, names, isDone).join(',');
    throw new InputError(`${phase.name} starts from ${missing.join(', ')}, which is not done`, {
      hint: `add the missing phases: ${ownCommand('run', runDir, '--only', every, ...launcher)}`,
    });
  }
}

/**
 * Groups of phases that train in one process: single phases, and modules that are incubated together, which are divided
 * among `teams` processes. With several ranks, all phases are single.
 */
function teamsOf(phases: readonly Phase[], teams: number): (readonly Phase[])[] {
  const shares = ({ isShareable, run }: Phase) => isShareable && run.ranks === 1;
  const modules = phases.filter(shares);
  if (modules.length === 0) return phases.map((phase) => [phase]);
  const teamJobs = Array.from({ length: Math.min(teams, modules.length) }, (_, team) =>
    modules.filter((_, i) => i % teams === team),
  );
  const first = phases.findIndex(shares);
  const alone = phases.filter((phase) => !shares(phase)).map((phase) => [phase]);
  return [...alone.slice(0, Math.max(0, first)), ...teamJobs, ...alone.slice(Math.max(0, first))];
}
