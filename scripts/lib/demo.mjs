import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { root } from './paths.mjs';

/** @typedef {{ phase: string, epochs: number, block_passes: number }} Planned */

/**
 * Arguments of `run` for the two alternatives to a demo in `out`, each with the same cost in block-passes.
 * @param {{ phases: Planned[] }} plan of the demo
 * @param {{ out: string, threads: number }} options
 */
export function alternatives({ phases }, { out, threads }) {
  const cost = phases
    .filter(({ phase }) => phase !== 'E2E')
    .reduce((sum, each) => sum + each.block_passes, 0);
  const [pt, ft] = ['PT', 'FT'].map((name) => phases.find(({ phase }) => phase === name));
  if (pt === undefined || ft === undefined) throw new RangeError('the plan has no PT or no FT');
  const settings = [`run.threads=${threads}`, 'run.parallel=1'];
  const args = (/** @type {string[]} */ more) => [...settings, ...more].flatMap((each) => ['--set', each]);
  return {
    growth: [
      ...['--out', `${out}-growth`],
      ...args([
        'incubation.strategy=growth',
        `start.meta=${out}/PT`,
        'phases.E2E=none',
        `phases.FT.epochs=${(ft.epochs * (cost - pt.block_passes)) / ft.block_passes}`,
      ]),
    ],
    meta: [
      ...['--out', `${out}-meta`, '--only', 'PT'],
      ...args([`phases.PT.epochs=${(pt.epochs * cost) / pt.block_passes}`]),
    ],
  };
}

/** @typedef {{ phase: string, top1: number, block_passes: number, evaluation_images: number }} Result */

/** @param {string} path @returns {any} */
const json = (path) => JSON.parse(readFileSync(resolve(root, path), 'utf8'));

/** The table of the demo in `out` and its alternatives, best first. @param {string} out */
export function comparison(out) {
  const blocks = Object.fromEntries(
    json(`${out}/plan.json`).phases.map(
      (/** @type {{ phase: string, depths: number[] }} */ { phase, depths }) => [
        phase,
        depths.reduce((sum, depth) => sum + depth, 0),
      ],
    ),
  );
  const cost = json(`${out}/summary.json`).incubation.block_passes;
  /** @type {[string, string, string][]} */
  const ways = [
    ['meta model, trained longer', `${out}-meta`, 'PT'],
    ['growth, without modules', `${out}-growth`, 'FT'],
    ['Deep Incubation', out, 'FT'],
    ['end to end', out, 'E2E'],
    ['meta model, after PT', out, 'PT'],
  ];
  const rows = ways.map(([name, folder, phase]) => {
    /** @type {Result[]} */
    const results = json(`${folder}/summary.json`).phases;
    const result = results.find((each) => each.phase === phase);
    if (result === undefined) throw new RangeError(`${folder} has no result of ${phase}`);
    const passes = folder === out && phase === 'PT' ? result.block_passes : cost;
    return { name, blocks: blocks[phase], passes, ...result };
  });
  rows.sort((a, b) => b.top1 - a.top1);
  const [{ top1, evaluation_images: images }] = rows;
  const share = top1 / 100;
  const error = 100 * Math.sqrt((2 * share * (1 - share)) / images);
  return [
    'model                         blocks   block-passes   top-1',
    ...rows.map(
      (row) =>
        `${row.name.padEnd(30)}${String(row.blocks).padStart(6)}   ${`${(row.passes / 1e6).toFixed(1)} M`.padStart(12)}   ${row.top1.toFixed(1).padStart(5)}`,
    ),
    '',
    `One seed, ${images.toLocaleString('en-US')} test images: differences below ${(1.96 * error).toFixed(1)} points mean little.`,
    'docs/when-to-use.md says what follows from it.',
  ].join('\n');
}
