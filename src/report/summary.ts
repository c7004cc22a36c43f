import type { PhaseResult } from '../checkpoint/records.js';

/** `summary.json`: what a run reached and what it cost. A part is absent while its last phase is not done. */
export interface RunSummary {
  readonly name: string;
  readonly seed: number;
  /** The assembled model after FT, with the cost of PT, every MT and FT added up. */
  readonly incubation?: Outcome;
  /** The baseline trained from scratch. */
  readonly end_to_end?: Outcome;
  readonly phases: readonly PhaseResult[];
  /** By top-1; a tie where the two differ by less than 0.005 points. Present when both are done. */
  readonly winner?: 'incubation' | 'end_to_end' | 'tie';
  /** Points of top-1 that incubation is ahead (negative: behind). */
  readonly difference_top1?: number;
  readonly machine: Readonly<Record<string, unknown>>;
}

export interface Outcome {
  /** Per cent. */
  readonly top1: number;
  readonly top5: number;
  readonly loss: number;
  readonly block_passes: number;
  readonly macs: number;
  /** Training seconds added up over the phases, as if one machine had run them one after another. */
  readonly seconds: number;
}

export interface SummaryInput {
  readonly name: string;
  readonly seed: number;
  /** Those done so far, in any order. */
  readonly results: readonly PhaseResult[];
  readonly machine: Readonly<Record<string, unknown>>;
}

const TIE = 0.005;

/** Adds the phases up. Pure. */
export function summarize({ name, seed, results, machine }: SummaryInput): RunSummary {
  const phases = [...results].sort((a, b) => order(a.phase) - order(b.phase));
  const parts = phases.filter(({ phase }) => phase !== 'E2E');
  const incubation = outcome(
    parts,
    parts.find(({ phase }) => phase === 'FT'),
  );
  const baseline = phases.filter(({ phase }) => phase === 'E2E');
  const endToEnd = outcome(baseline, baseline[0]);
  return {
    name,
    seed,
    ...(incubation && { incubation }),
    ...(endToEnd && { end_to_end: endToEnd }),
    phases,
    ...(incubation && endToEnd && comparison(incubation.top1 - endToEnd.top1)),
    machine,
  };
}

function outcome(parts: readonly PhaseResult[], last: PhaseResult | undefined): Outcome | undefined {
  if (last === undefined) return undefined;
  const sum = (key: 'block_passes' | 'macs' | 'seconds') =>
    parts.reduce((total, part) => total + part[key], 0);
  return {
    top1: last.top1,
    top5: last.top5,
    loss: last.loss,
    block_passes: sum('block_passes'),
    macs: sum('macs'),
    seconds: sum('seconds'),
  };
}

function comparison(difference: number): Pick<RunSummary, 'winner' | 'difference_top1'> {
  const winner = Math.abs(difference) < TIE ? 'tie' : difference > 0 ? 'incubation' : 'end_to_end';
  return { winner, difference_top1: difference };
}

/** The order of training: PT, MT/0 ..., FT, E2E. */
function order(phase: string): number {
  if (phase === 'PT') return -1;
  if (phase === 'FT') return Number.MAX_SAFE_INTEGER - 1;
  if (phase === 'E2E') return Number.MAX_SAFE_INTEGER;
  return Number(phase.split('/')[1]);
}
