import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { chosenRates } from './chosen.js';
import type { CellResult } from './run-cell.js';
import { SETTING_NAMES, SETTINGS, STRATEGIES, type Strategy } from './settings.js';

const LABELS: Readonly<Record<Strategy, string>> = {
  meta: 'meta model, PT only',
  'meta-equal-cost': 'meta model, trained longer',
  'end-to-end': 'end to end',
  'zero-init': 'end to end, `zero_init`',
  'layer-scale': 'end to end, `layer_scale`',
  fresh: 'Deep Incubation, fresh modules',
  grown: 'Deep Incubation, grown modules',
  growth: 'growth, without modules',
};

/** Pairs of strategies that the study compares. */
const COMPARED: readonly (readonly [Strategy, Strategy])[] = [
  ['grown', 'end-to-end'],
  ['grown', 'meta'],
  ['grown', 'meta-equal-cost'],
  ['grown', 'fresh'],
  ['grown', 'growth'],
  ['growth', 'end-to-end'],
  ['growth', 'meta'],
  ['fresh', 'end-to-end'],
];

/** All results below a folder. */
export function readResults(folder: string): CellResult[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.json'),
  );
  return files.sort().map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
}

/** The study's tables in Markdown: for each setting and depth the accuracies, and the differences that were measured. */
export function studyTables(results: readonly CellResult[]): string {
  const parts: string[] = [];
  for (const setting of SETTING_NAMES) {
    const depths = new Set(results.filter((result) => result.setting === setting).map(({ depth }) => depth));
    for (const depth of [...depths].sort((a, b) => a - b)) {
      const here = results.filter((result) => result.setting === setting && result.depth === depth);
      parts.push(`### ${depth} blocks: ${SETTINGS[setting].about}`);
      const final = here.filter(({ isSearch }) => !isSearch);
      if (final.length > 0) parts.push(accuracies(final), ...differences(final));
      const search = here.filter(({ isSearch }) => isSearch);
      if (search.length > 0)
        parts.push('Search of the rates, on 5,000 held-out training images:', searched(search));
    }
  }
  return parts.join('\n\n');
}

function accuracies(results: readonly CellResult[]): string {
  const seeds = seedsOf(results);
  const all = STRATEGIES.flatMap((strategy) => {
    const own = results.filter((result) => result.strategy === strategy);
    const tried = [...new Set(own.map(ratesOf))];
    return tried.map((rates) => own.filter((result) => ratesOf(result) === rates));
  });
  const rows = all.map((own) => {
    const [{ strategy }] = own;
    const starts = own.flatMap(({ start }) => (start === undefined ? [] : [start]));
    return [
      LABELS[strategy],
      ratesOf(own[0]),
      ...seeds.map((seed) => own.find((result) => result.seed === seed)?.top1.toFixed(2) ?? ''),
      own.length > 1 ? withError(own.map(({ top1 }) => top1)) : '',
      starts.length > 0 ? mean(starts).toFixed(1) : '',
      mean(own.map(({ blockPasses }) => blockPasses)).toFixed(1),
    ];
  });
  const header = [
    'strategy',
    'rates',
    ...seeds.map((seed) => `seed ${seed}`),
    'mean ± s.e.',
    'before the last phase',
    'cost',
  ];
  return table(header, rows);
}

/**
 * Differences by seed, so that what two strategies share (the meta model, the order of the images) cancels out. A strategy is
 * compared at its chosen rates.
 */
function differences(results: readonly CellResult[]): string[] {
  const isChosen = (result: CellResult) =>
    isDeepStrictEqual(result.rates, chosenRates(result.setting, result.depth, result.strategy));
  const top1 = (strategy: Strategy, seed: number) =>
    results.find((result) => result.strategy === strategy && result.seed === seed && isChosen(result))?.top1;
  const rows = COMPARED.flatMap(([a, b]) => {
    const points = seedsOf(results).flatMap((seed) => {
      const [first, second] = [top1(a, seed), top1(b, seed)];
      return first === undefined || second === undefined ? [] : [first - second];
    });
    return points.length < 2
      ? []
      : [[`${LABELS[a]} - ${LABELS[b]}`, withError(points, true), `${points.length}`]];
  });
  return rows.length > 0 ? [table(['difference, points', 'mean ± s.e.', 'seeds'], rows)] : [];
}

function searched(results: readonly CellResult[]): string {
  const rows = STRATEGIES.flatMap((strategy) =>
    results
      .filter((result) => result.strategy === strategy)
      .map((result) => [LABELS[strategy], ratesOf(result), result.top1.toFixed(2)]),
  );
  return table(['strategy', 'rates', 'top-1, held out'], rows);
}

const seedsOf = (results: readonly CellResult[]) =>
  [...new Set(results.map(({ seed }) => seed))].sort((a, b) => a - b);

const ratesOf = ({ rates }: CellResult) =>
  Object.entries(rates)
    .map(([phase, rate]) => `${phase} ${rate}`)
    .join(', ');

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean and its standard error, from the sample standard deviation (n - 1). */
function withError(values: readonly number[], isSigned = false): string {
  const centre = mean(values);
  const variance = values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1);
  const shown = centre.toFixed(2);
  return `${isSigned && centre > 0 ? '+' : ''}${shown} ± ${Math.sqrt(variance / values.length).toFixed(2)}`;
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((name, column) =>
    Math.max(3, name.length, ...rows.map((row) => row[column].length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}
