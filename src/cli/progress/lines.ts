import type { createColors } from 'picocolors';
import {
  bytes,
  duration,
  EVAL_LOSS,
  EVALUATING,
  TRAIN_LOSS,
  TRAIN_SPEED,
  TRAIN_TIME,
} from '../../report/format.js';
import { labelledScore } from '../../run/metric.js';
import type { PhaseProgress } from './phase-state.js';

type Colors = ReturnType<typeof createColors>;

/** A running phase as one line of at most `columns` characters; the least important facts are dropped first. */
export function barLine(state: PhaseProgress, columns: number, colors: Colors): string {
  const { step, phase } = state;
  const name = phase.padEnd(4);
  if (step === undefined) return cut(`${name}  starting`, columns);
  const share = step.steps > 0 ? Math.min(step.step / step.steps, 1) : 0;
  const room = columns - name.length - 2;
  const facts = fitting(factsOf(state, state.curve(CURVE)), room - MIN_BAR);
  const width = Math.min(MAX_BAR, room - facts.length);
  if (width < MIN_BAR) return cut(`${name}  ${Math.floor(share * 100)} %`, columns);
  const full = Math.round(share * width);
  const bar = colors.cyan('━'.repeat(full)) + colors.dim('─'.repeat(width - full));
  return `${colors.bold(name)}  ${bar}${facts}`;
}

/** The line that remains after a phase is done. */
export function doneLine({ phase, primary, result }: PhaseProgress): string {
  if (result === undefined) return phase;
  return [
    phase.padEnd(4),
    'done',
    `${grouped(result.steps)} steps`,
    `${TRAIN_TIME} ${duration(result.seconds)}`,
    `${EVAL_LOSS} ${result.loss.toFixed(2)}`,
    labelledScore(primary, result, 1),
  ].join('  ');
}

/** A running phase in plain text, for logs. */
export function plainLine(state: PhaseProgress): string {
  return `${state.phase.padEnd(4)}${fitting(factsOf(state), Number.POSITIVE_INFINITY)}`;
}

/** The line for the start of a phase. */
export function startLine({ phase, step, resumedFrom }: PhaseProgress): string {
  const name = phase.padEnd(4);
  if (resumedFrom > 0) return `${name}  resumed at step ${grouped(resumedFrom)}`;
  return step === undefined ? `${name}  started` : `${name}  started, ${grouped(step.steps)} steps`;
}

/** Cuts the text to `columns` characters. */
export function cut(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, Math.max(0, columns - 1))}…`;
}

const MIN_BAR = 8;
const MAX_BAR = 24;
const CURVE = 12;
/** Share of the time. A phase that waits longer for data shows this with high priority. */
const SLOW_DATA = 0.2;

/** In display order; the fact with the highest `rank` is dropped first. */
function factsOf(
  { step, primary, evaluation, secondsLeft }: PhaseProgress,
  curve = '',
): { rank: number; text: string }[] {
  if (step === undefined) return [];
  return [
    { rank: 5, text: `epoch ${step.epoch + 1}` },
    { rank: 1, text: `${grouped(step.step)}/${grouped(step.steps)}` },
    { rank: 3, text: `${TRAIN_LOSS} ${step.loss.toFixed(3)}` },
    ...(curve.length > 1 ? [{ rank: 8, text: curve }] : []),
    ...(evaluation ? [{ rank: 4, text: labelledScore(primary, evaluation, 1) }] : []),
    { rank: 6, text: `${grouped(Math.round(step.images_per_second))} ${TRAIN_SPEED}` },
    { rank: 7, text: bytes(step.memory_bytes) },
    ...(step.data_wait > SLOW_DATA
      ? [{ rank: 2.5, text: `data wait ${Math.round(100 * step.data_wait)} %` }]
      : []),
    ...(secondsLeft === undefined
      ? []
      : [{ rank: 2, text: secondsLeft > 0 ? `ETA ${duration(secondsLeft)}` : EVALUATING }]),
  ];
}

function fitting(facts: readonly { rank: number; text: string }[], room: number): string {
  let kept = [...facts];
  const text = () => kept.map((fact) => `  ${fact.text}`).join('');
  while (kept.length > 0 && text().length > room) {
    const last = Math.max(...kept.map(({ rank }) => rank));
    kept = kept.filter(({ rank }) => rank !== last);
  }
  return text();
}

function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

/** The remaining training time of all phases. */
export function runEta(seconds: number): string {
  return `run ETA ${duration(seconds)}`;
}

const MARKS = { waiting: '○', running: '◐', done: '●' } as const;

/**
 * The phases as a graph in one line, as in the paper, with dependencies and progress. Empty if it would be wider than `columns`,
 * or there is only one phase. The remaining time of the run follows, if it is known and fits.
 * Example: `PT ● → MT 0 ● 1 ◐ 2 ◐ 3 ○ → FT ○   E2E ◐   run ETA 2 h`.
 */
export function graphLine(
  states: readonly PhaseProgress[],
  {
    columns,
    colors,
    left,
  }: { readonly columns: number; readonly colors: Colors; readonly left?: number | undefined },
): string {
  const mark = ({ stage }: PhaseProgress) => MARKS[stage];
  const named = (name: string) =>
    states.filter(({ phase }) => phase === name).map((state) => `${name} ${mark(state)}`);
  const modules = states.filter(({ phase }) => phase.startsWith('MT/'));
  const incubated =
    modules.length === 0
      ? []
      : [`MT ${modules.map((state) => `${state.phase.slice('MT/'.length)} ${mark(state)}`).join(' ')}`];
  const chain = [...named('PT'), ...incubated, ...named('FT')].join(' → ');
  const line = [chain, ...named('E2E')].filter((part) => part !== '').join('   ');
  if (states.length < 2 || line.length > columns) return '';
  const timed = left === undefined ? line : `${line}   ${runEta(left)}`;
  return (timed.length > columns ? line : timed)
    .replaceAll('●', colors.green('●'))
    .replaceAll('◐', colors.cyan('◐'));
}
