/**
 * Trains Fashion-MNIST with every strategy, at equal cost, and prints the tables of docs/study.md.
 *
 *   npm run bench -- study [--only small-data/48/grown] [--seeds 0,1,2] [--search] [--depths 12,48,128] [--parallel 1]
 *   npm run bench -- study --tables
 *
 * A cell is one setting, depth, strategy, seed and set of learning rates. Its run is in runs/study/, so a study that was stopped
 * goes on where it was. When a cell ends, its result is written to bench/study/results/; a cell with a result is not run again.
 * `--search` runs the grid of rates on held-out training images instead; the chosen rates are those of `bench/study/chosen.ts`.
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Cell, cellName } from './study/cells.js';
import { chosenRates } from './study/chosen.js';
import { type CellResult, runCell } from './study/run-cell.js';
import { GRID, SETTING_NAMES, STRATEGIES } from './study/settings.js';
import { readResults, studyTables } from './study/tables.js';

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    depths: { type: 'string', default: '48,12,128' },
    seeds: { type: 'string', default: '0,1,2' },
    parallel: { type: 'string', default: '1' },
    search: { type: 'boolean', default: false },
    tables: { type: 'boolean', default: false },
    runs: { type: 'string', default: 'runs/study' },
    results: {
      type: 'string',
      default: fileURLToPath(new URL('../../bench/study/results', import.meta.url)),
    },
    set: { type: 'string', multiple: true, default: [] },
  },
});

const SEARCH_SEED = 100;

const numbers = (text: string) => text.split(',').map(Number);

function* cells(): Generator<Cell> {
  for (const depth of numbers(flags.depths)) {
    for (const setting of SETTING_NAMES) {
      for (const seed of flags.search ? [SEARCH_SEED] : numbers(flags.seeds)) {
        for (const strategy of STRATEGIES) {
          const rates = flags.search ? GRID[strategy] : [chosenRates(setting, depth, strategy)];
          for (const one of rates)
            yield { setting, depth, strategy, seed, rates: one, isSearch: flags.search };
        }
      }
    }
  }
}

const isChosen = (cell: Cell) =>
  flags.only.length === 0 || flags.only.some((start) => `${cellName(cell)}/`.startsWith(`${start}/`));

const folders = { runs: flags.runs, results: flags.results, set: flags.set };

/** Runs cells one after another; several workers share the list. */
async function work(list: Iterator<Cell>): Promise<void> {
  for (let next = list.next(); !next.done; next = list.next()) report(await runCell(next.value, folders));
}

function report(result: CellResult): void {
  console.log(
    `${cellName(result)}: ${result.top1.toFixed(2)} % (${result.blockPasses.toFixed(1)} M block-passes)`,
  );
}

if (!flags.tables) {
  const list = [...cells()].filter(isChosen).values();
  await Promise.all(Array.from({ length: Number(flags.parallel) }, () => work(list)));
}
console.log(studyTables(readResults(folders.results)));
