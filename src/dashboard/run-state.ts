import { readStatus } from '../checkpoint/phase-status.js';
import { phasesIn, runFolder } from '../checkpoint/run-folder.js';
import type { PhaseState, State } from './protocol.js';
import { readRunJson } from './run-file.js';

/** How a phase stands, by the run folder alone. */
export type Standing = Pick<
  PhaseState,
  | 'phase'
  | 'state'
  | 'since'
  | 'restarts'
  | 'last_error'
  | 'depths'
  | 'needs'
  | 'steps'
  | 'planned_block_passes'
>;

/** The phases of a run, planned or begun, in training order. */
export function readStandings(root: string): Standing[] {
  const planned = plannedPhases(root);
  const begun = phasesIn(root).filter(isPhase);
  const names = new Set([...planned.keys(), ...begun]);
  return [...names]
    .sort((a, b) => orderOf(a) - orderOf(b))
    .map((phase) => standing(root, phase, planned.get(phase)));
}

/** The state of a run, of those of its phases. */
export function stateOf(states: readonly State[]): State {
  const has = (state: State) => states.includes(state);
  const first = (['failed', 'restarting', 'running', 'interrupted'] as const).find(has);
  if (first !== undefined) return first;
  if (states.length > 0 && states.every((state) => state === 'done')) return 'done';
  return has('done') ? 'interrupted' : 'waiting';
}

function standing(root: string, phase: string, plan: Record<string, unknown> | undefined): Standing {
  const { state, since, restarts, last_error } = readStatus(root, phase);
  const number = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
  return {
    ...{ phase, state, since, restarts, last_error },
    depths: Array.isArray(plan?.depths) ? plan.depths.map(number) : [],
    needs: Array.isArray(plan?.needs) ? plan.needs.map(String) : [],
    steps: number(plan?.steps),
    planned_block_passes: number(plan?.block_passes),
  };
}

function plannedPhases(root: string): Map<string, Record<string, unknown>> {
  const phases = readRunJson(runFolder(root).plan)?.phases;
  const plans = Array.isArray(phases) ? phases.map(Object) : [];
  return new Map(plans.filter(({ phase }) => isPhase(phase)).map((plan) => [plan.phase, plan]));
}

const PHASE = /^(PT|FT|E2E|MT\/\d{1,4})$/;

function isPhase(name: unknown): name is string {
  return typeof name === 'string' && PHASE.test(name);
}

function orderOf(phase: string): number {
  if (phase.startsWith('MT/')) return 1 + Number(phase.slice(3));
  return { PT: 0, FT: 20_000, E2E: 20_001 }[phase] ?? 0;
}
