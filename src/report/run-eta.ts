import type { Status } from '../run/phase-status.js';

/** What the remaining time of a run is estimated from. */
export interface EtaPhase {
  readonly phase: string;
  readonly state: Status;
  /** Unfinished phases that it depends on. */
  readonly waits_for: readonly string[];
  /** Training seconds and block-passes so far. */
  readonly seconds: number;
  readonly block_passes: number;
  readonly planned_block_passes: number;
  /** At the recent speed; null unless it is running. */
  readonly seconds_left: number | null;
}

/** `auto`: modules at the same time, other phases one at a time. */
type Parallel = number | 'auto';

/** The value of `run.parallel` in a recipe file. */
export function parallelOf(recipe: unknown): Parallel {
  const { parallel }: { parallel?: unknown } = Object(Object(recipe).run);
  return typeof parallel === 'number' && parallel >= 1 ? parallel : 'auto';
}

/**
 * Estimated training seconds until the end of a run, without evaluation and start-up: at the measured speed of the phases that
 * have run, the modules' speed for modules and the speed of all phases for the others, with as many phases at a time as the run
 * allows. With `auto`, that is the number of modules that are running now. The baseline counts too.
 * @returns null if no speed is known yet, or the cost of a phase that has not begun; 0 if all phases are done
 */
export function runSecondsLeft(phases: readonly EtaPhase[], parallel: Parallel): number | null {
  const open = phases.filter(({ state }) => state !== 'done');
  const left = new Map<string, number>();
  for (const phase of open) {
    const seconds = phase.seconds_left ?? secondsAtSpeed(phase, phases);
    if (seconds === null) return null;
    left.set(phase.phase, seconds);
  }
  const running = open.filter(({ state }) => state === 'running');
  const slots = parallel === 'auto' ? Math.max(1, running.length) : parallel;
  return simulated(open, left, { parallel, slots });
}

const isModule = ({ phase }: Pick<EtaPhase, 'phase'>) => phase.startsWith('MT/');

function secondsAtSpeed(phase: EtaPhase, phases: readonly EtaPhase[]): number | null {
  const known = phases.filter(({ seconds, block_passes }) => seconds > 0 && block_passes > 0);
  const sameKind = known.filter((each) => isModule(each) === isModule(phase));
  const own = known.filter((each) => each === phase);
  const [measured] = [own, sameKind, known].filter((some) => some.length > 0);
  if (measured === undefined || phase.planned_block_passes === 0) return null;
  const sum = (key: 'seconds' | 'block_passes') => measured.reduce((total, each) => total + each[key], 0);
  const open = Math.max(0, phase.planned_block_passes - phase.block_passes);
  return (open * sum('seconds')) / sum('block_passes');
}

interface Limits {
  readonly parallel: Parallel;
  /** Number of phases at a time. */
  readonly slots: number;
}

/** The end of the last phase if each starts, in the order of the plan, as soon as its needs are met and there is room. */
function simulated(
  open: readonly EtaPhase[],
  left: ReadonlyMap<string, number>,
  { parallel, slots }: Limits,
): number {
  const ends = new Map<string, number>();
  const finished = new Set<string>();
  const start = (phase: EtaPhase, now: number) => ends.set(phase.phase, now + (left.get(phase.phase) ?? 0));
  const isOpen = new Set(open.map(({ phase }) => phase));
  for (const phase of open) if (phase.state === 'running') start(phase, 0);
  for (let now = 0; ; ) {
    const active = () => open.filter(({ phase }) => ends.has(phase) && !finished.has(phase));
    for (const phase of open) {
      if (ends.has(phase.phase)) continue;
      const isReady = phase.waits_for.every((need) => finished.has(need) || !isOpen.has(need));
      const mayJoin = parallel !== 'auto' || (isModule(phase) && active().every(isModule));
      if (isReady && (active().length === 0 || (mayJoin && active().length < slots))) start(phase, now);
    }
    const next = active().sort((a, b) => (ends.get(a.phase) ?? 0) - (ends.get(b.phase) ?? 0))[0];
    if (next === undefined) return now;
    now = ends.get(next.phase) ?? now;
    finished.add(next.phase);
  }
}
