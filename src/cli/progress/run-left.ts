import { plannedPhases } from '../../report/phase-condition.js';
import { parallelOf, runSecondsLeft } from '../../report/run-eta.js';
import { readRunJson, runFolder } from '../../run/run-folder.js';
import type { PhaseProgress } from './phase-state.js';

/**
 * Estimates the remaining training time of the watched phases.
 * @returns undefined if it is unknown, or there is only one phase
 */
export function etaOfRun(runDir: string): (states: readonly PhaseProgress[]) => number | undefined {
  const { plan, recipe } = runFolder(runDir);
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
