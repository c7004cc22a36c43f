import type { createColors } from 'picocolors';
import { type Metric, scoreOf, scoreText } from '../run/metric.js';
import type { Status } from '../run/phase-status.js';
import { duration, EVALUATING, narrowed, TRAIN_LOSS, TRAIN_SPEED, widthsOf } from './format.js';
import type { PhaseOverview, RunStatus } from './phase-condition.js';

type Colors = ReturnType<typeof createColors>;

/**
 * The state of a run as text for a terminal of `columns` characters: a line per phase, then a paragraph for each phase that needs
 * attention.
 */
export function standText(stand: RunStatus, colors: Colors, columns = Number.POSITIVE_INFINITY): string {
  const { run, name, phases, primary } = stand;
  const done = phases.filter(({ state }) => state === 'done').length;
  const paint = painter(colors);
  const title = `${colors.bold(name)}  ${paint(stand.state, stand.state)}, ${done} of ${phases.length} phases done${etaOf(stand)}  ${colors.dim(run)}`;
  const whole = [headOf(primary), ...phases.map((phase) => cells(phase, stand))];
  const rows = narrowed(whole, columns, DISPENSABLE);
  const widths = widthsOf(rows);
  const last = widths.length - 1;
  const lines = rows.map((row, index) =>
    row
      .map((cell, column) => {
        const isLeft = column <= STATE || column === last;
        const padded = isLeft ? cell.padEnd(widths[column]) : cell.padStart(widths[column]);
        return index > 0 && column === STATE ? paint(phases[index - 1].state, padded) : padded;
      })
      .join('  ')
      .trimEnd(),
  );
  const needsHelp = phases.flatMap((phase) => trouble(phase, paint));
  return [title, '', ...lines, ...needsHelp, ...conclusion(stand)].join('\n');
}

/** Only of a run that is not finished. */
function etaOf({ state, seconds_left: left }: RunStatus): string {
  if (state === 'done' || left === null || left <= 0) return '';
  return `, about ${duration(left)} of training left`;
}

function headOf({ label }: Metric): string[] {
  return ['phase', 'state', 'steps', '', TRAIN_LOSS, label, TRAIN_SPEED, 'left', 'restarts', 'where'];
}

const STATE = 1;
/** Columns that may be left out in a narrow terminal, in this order. */
const DISPENSABLE = [TRAIN_SPEED, TRAIN_LOSS, 'restarts'];

function cells(phase: PhaseOverview, { primary, supervisor }: RunStatus): string[] {
  const { step, steps, loss, state, seconds_left: left } = phase;
  const score = scoreOf(phase, primary);
  const total = steps === null ? '?' : steps.toLocaleString('en-US');
  return [
    phase.phase,
    state,
    `${step.toLocaleString('en-US')}/${total}`,
    steps ? `${Math.floor((100 * step) / steps)} %` : '',
    loss === null ? '' : loss.toFixed(3),
    Number.isNaN(score) ? '' : scoreText(primary, score),
    phase.images_per_second === null ? '' : Math.round(phase.images_per_second).toLocaleString('en-US'),
    left === null ? '' : left > 0 ? duration(left) : EVALUATING,
    phase.restarts > 0 ? String(phase.restarts) : '',
    locationOf(phase, supervisor !== null),
  ];
}

function trouble(phase: PhaseOverview, paint: ReturnType<typeof painter>): string[] {
  const { state, last_error: error, to_do: toDo, log } = phase;
  if (toDo === null) return [];
  return [
    '',
    `${phase.phase} ${paint(state, state)}${error === null ? '' : `: ${without(error, phase.phase)}`}`,
    ...(log === null ? [] : [`  log    ${log}`]),
    `  to do  ${toDo}`,
  ];
}

/** Removes the phase's name from the start of the error. */
function without(error: string, phase: string): string {
  const rest = error.startsWith(phase) ? error.slice(phase.length).match(/^:? (.*)$/s) : null;
  return rest?.[1] ?? error;
}

/** What to do next with the run as a whole. */
function conclusion({ state, supervisor, command, report, phases }: RunStatus): string[] {
  if (command === null) return report !== null && state === 'done' ? ['', `Report: ${report}`] : [];
  if (state === 'done') return ['', `To write the summary and report: ${command}`];
  if (supervisor !== null) return ['', `After process ${supervisor.pid} has ended: ${command}`];
  const isUnderWay = phases.some((phase) => ['running', 'queued', 'restarting'].includes(phase.state));
  return [
    '',
    isUnderWay ? `To resume the stopped phases: ${command}` : `No phase is running. To resume: ${command}`,
  ];
}

function painter(colors: Colors) {
  return (state: Status, text: string): string => {
    if (state === 'failed' || state === 'lost') return colors.red(text);
    if (state === 'restarting' || state === 'stopped') return colors.yellow(text);
    if (state === 'running') return colors.cyan(text);
    return state === 'done' ? colors.green(text) : colors.dim(text);
  };
}

type Placed = Pick<PhaseOverview, 'state' | 'waits_for' | 'job' | 'pid' | 'host'>;

/**
 * The place where a phase is trained, or the phases that it waits for.
 * @param isSupervised whether a `run` process supervises the phases
 */
export function locationOf(
  { state, waits_for: needs, job, pid, host }: Placed,
  isSupervised: boolean,
): string {
  if (state === 'done') return '';
  const slurm = job === null ? [] : [`job ${job}`];
  const process = pid === null || host === null ? [] : [`process ${pid} on ${host}`];
  const waiting = state === 'waiting' || state === 'queued' ? after(needs) : [];
  const isTurn = isSupervised && state === 'waiting' && needs.length === 0;
  return [...slurm, ...process, ...waiting, ...(isTurn ? ['next in line'] : [])].join(', ');
}

function after(needs: readonly string[]): string[] {
  if (needs.length === 0) return [];
  const modules = needs.filter((need) => need.startsWith('MT/'));
  return [`after ${modules.length > 2 ? `${modules.length} modules` : needs.join(', ')}`];
}
