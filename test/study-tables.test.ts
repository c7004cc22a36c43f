import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { cellName, metaCell, needsMeta } from '../bench/study/cells.js';
import { chosenRates } from '../bench/study/chosen.js';
import type { CellResult } from '../bench/study/run-cell.js';
import { readResults, studyTables } from '../bench/study/tables.js';
import { compile } from '../src/recipe/compile.js';
import { readRecipe } from '../src/recipe/recipe.js';

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url));
const results = readResults(path('bench/study/results'));

test('the tables of docs/study.md are those of the committed results', () => {
  const text = readFileSync(path('docs/study.md'), 'utf8');
  const shown = /<!-- tables -->\n([\s\S]*)<!-- end of tables -->/.exec(text)?.[1].trim();
  expect(shown).toBe(studyTables(results));
});

test('every result belongs to its cell, and its meta model has a result', () => {
  const names = new Set(results.map(cellName));
  expect(names.size).toBe(results.length);
  for (const result of results.filter(needsMeta)) expect(names).toContain(cellName(metaCell(result)));
});

const cell = (strategy: CellResult['strategy'], seed: number, top1: number): CellResult => ({
  setting: 'small-data',
  depth: 12,
  strategy,
  seed,
  rates: chosenRates('small-data', 12, strategy),
  isSearch: false,
  top1,
  images: 100,
  blockPasses: 2,
  seconds: 1,
});

test('means, standard errors and differences by seed', () => {
  const tables = studyTables([
    cell('end-to-end', 0, 80),
    cell('end-to-end', 1, 82),
    cell('end-to-end', 2, 84),
    cell('growth', 0, 81),
    cell('growth', 2, 87),
  ]);
  // Sample standard deviation 2, over the root of 3.
  expect(tables).toMatch(
    /\| end to end +\| E2E 0\.0005 +\| 80\.00 +\| 82\.00 +\| 84\.00 +\| 82\.00 ± 1\.15 +\|/,
  );
  expect(tables).toMatch(
    /\| growth, without modules +\| FT 0\.0005 +\| 81\.00 +\| +\| 87\.00 +\| 84\.00 ± 3\.00 +\|/,
  );
  expect(tables).toMatch(/\| growth, without modules - end to end +\| \+2\.00 ± 1\.00 +\| 2 +\|/);
});

test('each set of rates has a row; differences are those of the chosen rates', () => {
  const tables = studyTables([
    cell('end-to-end', 0, 80),
    cell('end-to-end', 1, 80),
    cell('growth', 0, 81),
    cell('growth', 1, 81),
    { ...cell('growth', 0, 90), rates: { FT: 0.7 } },
  ]);
  expect(tables).toMatch(
    /\| growth, without modules +\| FT 0\.0005 +\| 81\.00 +\| 81\.00 +\| 81\.00 ± 0\.00 +\|/,
  );
  expect(tables).toMatch(/\| growth, without modules +\| FT 0\.7 +\| 90\.00 +\| +\| +\|/);
  expect(tables).toMatch(/\| growth, without modules - end to end +\| \+1\.00 ± 0\.00 +\| 2 +\|/);
});

test('one seed has no error', () => {
  expect(studyTables([cell('meta', 5, 79.01)])).toMatch(/\| meta model, PT only +\| +\| 79\.01 +\| +\|/);
});

test.each(['study/narrow', 'study/resnet', 'curriculum'])('bench/%s.yaml is a valid recipe', (name) => {
  expect(compile(readRecipe(path(`bench/${name}.yaml`))).length).toBeGreaterThan(0);
});
