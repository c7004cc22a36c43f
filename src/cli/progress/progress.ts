import pc from 'picocolors';
import { visibleLine } from '../../base/visible.js';
import { plannedPhases } from '../../report/phase-condition.js';
import { parallelOf, runSecondsLeft } from '../../report/run-eta.js';
import { readRunJson, resolvedRunFolder } from '../../run/run-folder.js';
import { createLiveBlock, type TextStream } from '../terminal/live-block.js';
import { barLine, cut, doneLine, graphLine, plainLine, runEta, startLine } from './lines.js';
import { type PhaseProgress, watchPhase } from './phase-state.js';

export interface ProgressOptions {
  readonly runDir: string;
  /** The phases of this run, in display order. */
  readonly phases: readonly string[];
  readonly stream: TextStream;
  readonly isTTY: boolean;
  /** Current time in milliseconds, monotonic or not. */
  readonly now: () => number;
  /** Prints nothing at all. */
  readonly quiet?: boolean;
  /** Default: true unless `NO_COLOR` is set. Only used on a terminal. */
  readonly color?: boolean;
}

interface Progress {
  /** Reads the run folder and draws changes; call it a few times per second. */
  tick(): void;
  /** Prints a permanent line above the bars. */
  note(line: string): void;
  /** Ticks once more, then removes the bars and keeps the permanent lines. */
  stop(): void;
}

/** Minimum time between two lines about a running phase, if the output is not a terminal. */
const PLAIN_INTERVAL_MS = 10_000;

/**
 * Shows the progress of a run's phases by reading its folder only: one bar per running phase on a terminal, otherwise plain
 * lines. Phases may run in any process, also on other machines that write to the same folder.
 */
export function createProgress(options: ProgressOptions): Progress {
  if (options.quiet) return { tick: () => {}, note: () => {}, stop: () => {} };
  const watches = options.phases.map((phase) => watchPhase(options.runDir, phase));
  const show = options.isTTY ? terminalView(options) : plainView(options);
  const left = etaOfRun(options.runDir);
  const tick = () => {
    const states = watches.map((watch) => watch.poll());
    show.update(states, left(states));
  };
  return {
    tick,
    note: show.note,
    stop: () => {
      tick();
      show.end();
    },
  };
}

interface View {
  /** @param left seconds until all phases are done; undefined if unknown, or if there is only one phase */
  update(states: readonly PhaseProgress[], left: number | undefined): void;
  note(line: string): void;
  end(): void;
}

function terminalView({ stream, color }: ProgressOptions): View {
  const colors = pc.createColors(color ?? !process.env.NO_COLOR);
  const block = createLiveBlock(stream);
  const printed = new Set<string>();
  return {
    update: (states, left) => {
      const columns = block.columns();
      for (const state of states.filter(({ stage, phase }) => stage === 'done' && !printed.has(phase))) {
        printed.add(state.phase);
        block.print(`${colors.green('✓')} ${cut(doneLine(state), columns - 2)}`);
      }
      const running = states.filter(({ stage }) => stage === 'running');
      const graph = running.length > 0 ? graphLine(states, { columns: columns - 2, colors, left }) : '';
      const bars = running.map((state) => barLine(state, columns - 2, colors));
      block.draw([...(graph === '' ? [] : [graph]), ...bars].map((line) => `  ${line}`));
    },
    note: (line) => block.print(visibleLine(line)),
    end: () => block.draw([]),
  };
}

function plainView({ stream, now }: ProgressOptions): View {
  const last = new Map<string, { at: number; stage: PhaseProgress['stage']; step: number }>();
  const write = (line: string) => stream.write(`${line}\n`);

  const update = (state: PhaseProgress, left: number | undefined) => {
    const lastPrinted = last.get(state.phase);
    const step = state.step?.step ?? 0;
    if (state.stage === 'waiting' || lastPrinted?.stage === 'done') return;
    if (state.stage === 'done') write(doneLine(state));
    else if (lastPrinted === undefined || step < lastPrinted.step) write(startLine(state));
    else if (now() - lastPrinted.at < PLAIN_INTERVAL_MS || step === lastPrinted.step) return;
    else write(`${plainLine(state)}${left === undefined ? '' : `  ${runEta(left)}`}`);
    last.set(state.phase, { at: now(), stage: state.stage, step });
  };

  return {
    update: (states, left) => {
      for (const state of states) update(state, left);
    },
    note: (line) => write(visibleLine(line)),
    end: () => {},
  };
}

/**
 * Estimates the remaining training time of the watched phases.
 * @returns undefined if it is unknown, or there is only one phase
 */
function etaOfRun(runDir: string): (states: readonly PhaseProgress[]) => number | undefined {
  const { plan, recipe } = resolvedRunFolder(runDir);
  const planned = new Map((plannedPhases(readRunJson(plan)) ?? []).map((each) => [each.phase, each]));
  const parallel = parallelOf(readRunJson(recipe));
  return (states) => {
    if (states.length < 2 || states.some(({ phase }) => !planned.has(phase))) return undefined;
    const watched = new Set(states.map(({ phase }) => phase));
    const phases = states.map((state) => {
      const { needs = [], block_passes: cost = 0 } = planned.get(state.phase) ?? {};
      const { seconds = 0, block_passes = 0 } = state.result ?? state.step ?? {};
      return {
        phase: state.phase,
        state: state.stage,
        waits_for: needs.filter((need) => watched.has(need)),
        seconds,
        block_passes,
        planned_block_passes: cost,
        seconds_left: state.stage === 'running' ? (state.secondsLeft ?? null) : null,
      };
    });
    return runSecondsLeft(phases, parallel) ?? undefined;
  };
}
