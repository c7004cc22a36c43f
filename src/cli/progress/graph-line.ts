import type { Colors } from './lines.js';
import type { PhaseProgress } from './phase-state.js';

const MARKS = { waiting: '○', running: '◐', done: '●' } as const;

/**
 * The phases as a graph in one line, as in the paper, with dependencies and progress. Empty if it would be wider than `columns`,
 * or there is only one phase. Example: `PT ● → MT 0 ● 1 ◐ 2 ◐ 3 ○ → FT ○   E2E ◐`.
 */
export function graphLine(states: readonly PhaseProgress[], columns: number, colors: Colors): string {
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
  return line.replaceAll('●', colors.green('●')).replaceAll('◐', colors.cyan('◐'));
}
