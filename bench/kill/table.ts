import type { Kill } from './kill-repeatedly.js';

/** A run that was killed repeatedly and then finished. */
export interface Round {
  readonly kills: readonly Kill[];
  /** Names of differences from the undisturbed run. */
  readonly different: readonly string[];
}

const NONE = 'none: before, between, after';

/** The verdict, and a markdown table of kills by running phase and target. */
export function resultTable(rounds: readonly Round[]): string {
  const kills = rounds.flatMap((round) => round.kills);
  const phases = ['PT', 'MT/0', 'MT/1', 'FT', 'E2E', null];
  const row = (name: string, of: readonly Kill[]) => [
    name,
    ...[
      of,
      of.filter(({ target }) => target === 'phase'),
      of.filter(({ target }) => target === 'supervisor'),
      of.filter(({ target }) => target === 'both'),
      of.filter(({ inCheckpoint }) => inCheckpoint),
      of.filter(({ phase, step }) => phase !== null && step === 0),
    ].map((some) => String(some.length)),
  ];
  const head = [
    'running',
    'kills',
    'of a phase',
    'of the supervisor',
    'of both',
    'in a checkpoint',
    'before a step',
  ];
  const rows = phases.map((name) =>
    row(
      name ?? NONE,
      kills.filter(({ phase }) => phase === name),
    ),
  );
  const same = rounds.filter(({ different }) => different.length === 0).length;
  const verdict = `${kills.length} kills (SIGKILL) in ${rounds.length} runs: ${same} of ${rounds.length} runs ended with the weights, optimiser state, metrics, results and summary of the run that was left alone, bit for bit.`;
  const differing = rounds.flatMap(({ different }, i) =>
    different.length > 0 ? [`- run ${i + 1}: ${different.join(', ')}`] : [],
  );
  return `${[verdict, '', table([head, ...rows, row('all', kills)]), ...(differing.length > 0 ? ['', ...differing] : [])].join('\n')}\n`;
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`;
  return [line(rows[0]), rule, ...rows.slice(1).map(line)].join('\n');
}
