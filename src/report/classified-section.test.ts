import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import sharp from 'sharp';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Confusion, writeConfusion } from '../run/confusion.js';
import { runFolder } from '../run/run-folder.js';
import { writeSamples } from '../run/samples.js';
import { classifiedPhases, classifiedSection } from './classified-section.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'classified-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(phase: string, confusion: Partial<Confusion>): void {
  mkdirSync(runFolder(root).phase(phase).root, { recursive: true });
  writeConfusion(runFolder(root).phase(phase).confusion, {
    step: 1200,
    classes: 3,
    counts: [],
    ...confusion,
  });
}
const sectionOf = () =>
  parseHTML(`<body>${classifiedSection(classifiedPhases(root))?.html ?? ''}</body>`).document;
type Row = { querySelectorAll(selector: string): Iterable<{ readonly textContent: string | null }> };
const cellsOf = (row: Row) => Array.from(row.querySelectorAll('th, td'), (cell) => cell.textContent);

test('a run without evaluations has no section', () => {
  expect(classifiedSection(classifiedPhases(root))).toBeUndefined();
});

test('few classes: the whole matrix, with the accuracy on each class', () => {
  const counts = [
    [0, 0, 7],
    [0, 2, 3],
    [2, 0, 1],
    [2, 2, 1],
  ] as const;
  write('FT', { names: ['ant', 'bee', '<b>cow'], counts });
  const section = sectionOf();
  expect([...section.querySelectorAll('tr')].map(cellsOf)).toEqual([
    ['', 'ant', 'bee', '<b>cow', 'accuracy'],
    ['ant', '7', '', '3', '70.00 %'],
    ['<b>cow', '1', '', '1', '50.00 %'],
  ]);
  expect(section.querySelector('h3')?.textContent).toBe('FT, step 1,200');
});

test('many classes: the ten worst, and the ten most frequent confusions', () => {
  // Of 30 images of class k, k are taken for class k + 1.
  const counts = Array.from({ length: 25 }, (_, k) => [
    [k, k, 30 - k] as const,
    ...(k === 0 ? [] : [[k, k + 1, k] as const]),
  ]).flat();
  write('E2E', { classes: 30, counts });
  const [worst, confused] = [...sectionOf().querySelectorAll('tbody')].map((body) =>
    [...body.querySelectorAll('tr')].map(cellsOf),
  );
  const expected = Array.from({ length: 10 }, (_, i) => 24 - i);
  expect(worst).toEqual(expected.map((k) => [String(k), `${((100 * (30 - k)) / 30).toFixed(2)} %`, '30']));
  expect(confused).toEqual(expected.map((k) => [String(k), String(k + 1), String(k)]));
});

test('sample images show the part of the strip, the prediction, and what is right', async () => {
  write('FT', { counts: [[0, 0, 1]] });
  const png = await sharp({ create: { width: 40, height: 10, channels: 3, background: 'red' } })
    .png()
    .toBuffer();
  const target = { label: 0, name: 'ant', weight: 1 };
  const image = (predictions: { label: number; name: string; probability: number }[]) => ({
    index: 0,
    file: 'a.png',
    targets: [target],
    predictions,
  });
  const images = [
    image([{ label: 2, name: 'cow', probability: 0.934 }]),
    image([{ label: 0, name: 'ant', probability: 0.41 }]),
  ];
  writeSamples(runFolder(root).phase('FT').samples, 'eval', { step: 5, width: 20, height: 10, images }, png);
  const figures = [...sectionOf().querySelectorAll('.samples figure')];
  expect(
    figures.map((figure) => [...figure.querySelectorAll('span')].map((span) => span.textContent)),
  ).toEqual([['cow 93 %', 'is ant'], ['ant 41 %']]);
  expect(figures[1].querySelector('i')?.getAttribute('style')).toBe(
    'width:20px;height:10px;background-position:-20px 0',
  );
  const strip = sectionOf().querySelector('.samples')?.getAttribute('style');
  expect(strip).toBe(`--strip:url(data:image/png;base64,${png.toString('base64')})`);
});
