import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseHTML } from 'linkedom';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { skipWithout } from '../../test/needs.js';
import {
  FULL_RUN,
  type SyntheticPhase,
  syntheticRecords,
  writeSyntheticRun,
} from '../../test/synthetic-run.js';
import { InputError } from '../base/errors.js';
import { packHits, writeConfusion } from '../run/confusion.js';
import { writeStatus } from '../run/phase-status.js';
import { dataPoints } from './data-efficiency.js';
import { writeComparison, writeReport } from './html.js';

function runWith(phases: readonly SyntheticPhase[], recipe: object = { name: 'small run', seed: 4 }) {
  const root = mkdtempSync(join(tmpdir(), 'report-'));
  writeSyntheticRun(root, phases, recipe);
  return root;
}

async function pageOf(root: string) {
  const files = await writeReport(root);
  const html = readFileSync(files.html, 'utf8');
  return {
    files,
    html,
    document: parseHTML(html).document,
    text: parseHTML(html).document.body.textContent ?? '',
  };
}

test('a full run: sentence, both figures in two widths, a row per phase, a loss panel per phase', async () => {
  const root = runWith(FULL_RUN);
  const { document, text, files } = await pageOf(root);
  expect(document.querySelector('h1')?.textContent).toBe('small run');
  expect(document.querySelector('.result')?.textContent).toMatch(
    /^Deep Incubation 84\.10\s% against 79\.30\s% end to end \(4\.80 points ahead, 95\s% interval 3\.\d\d to 6\.\d\d, on 4,000 images\), at 1\.19\sx the block-passes/,
  );
  expect(document.querySelectorAll('figure .wide svg, figure .narrow svg')).toHaveLength(4);
  expect(document.querySelectorAll('.panels svg')).toHaveLength(7);
  const rows = [...document.querySelectorAll('tbody tr')].map((row) => row.querySelector('td')?.textContent);
  expect(rows).toEqual(['PT', 'MT/0', 'MT/1', 'MT/2', 'MT/3', 'FT', 'E2E', 'Deep Incubation', 'End to end']);
  expect(text).not.toContain('not complete');
  expect(text).toContain('seed 4');
  const written = ['accuracy-vs-cost.svg', 'index.html', 'metrics.csv'];
  if (files.png !== undefined) written.unshift('accuracy-vs-cost.png');
  else expect(files.notes).toEqual([expect.stringContaining('no fonts')]);
  expect(readdirSync(join(root, 'report')).sort()).toEqual(written);
});

test('the figure names its axes and results; its PNG has twice its size and is not blank', async (context) => {
  const { files } = await pageOf(runWith(FULL_RUN));
  const svg = readFileSync(files.svg ?? '', 'utf8');
  for (const label of ['million block-passes', 'top-1 accuracy, %', 'MT/2', '84.1 %', '79.3 %']) {
    expect(svg).toContain(label);
  }
  const fonts = files.png === undefined ? 'no fonts (apt-get install fontconfig-config)' : undefined;
  skipWithout(context, { missing: fonts });
  const { width, height } = await sharp(Buffer.from(svg)).metadata();
  const png = sharp(files.png ?? '');
  expect(await png.metadata()).toMatchObject({
    width: 2 * width + 64,
    height: 2 * height + 64,
    format: 'png',
  });
  expect((await png.stats()).entropy).toBeGreaterThan(0.1);
});

test('phases that are too short on the cost axis have no name; modules share one', async () => {
  const modules = Array.from({ length: 24 }, (_, i) => ({ ...FULL_RUN[1], phase: `MT/${i}`, epochs: 8 }));
  const { files } = await pageOf(runWith([{ ...FULL_RUN[0], epochs: 1 }, ...modules, FULL_RUN[5]]));
  const labels = [...parseHTML(readFileSync(files.svg ?? '', 'utf8')).document.querySelectorAll('text')].map(
    (label) => label.textContent,
  );
  expect(labels).toContain('MT');
  expect(labels.filter((label) => /^PT|^MT\//.test(label ?? ''))).toEqual([]);
});

test('the page needs nothing outside itself', async () => {
  const { html } = await pageOf(runWith(FULL_RUN));
  const outside = html
    .replaceAll('http://www.w3.org/', '')
    .match(/https?:|<script|<link|<img|@import|url\((?!#)/g);
  expect(outside).toBeNull();
  expect(html).toContain('prefers-color-scheme: dark');
});

test('text from files is escaped', async () => {
  const evil = `</pre><script>alert('&')</script>`;
  const root = runWith(FULL_RUN.slice(0, 1), { name: evil, seed: 0, data: { path: evil } });
  writeFileSync(
    join(root, 'summary.json'),
    JSON.stringify({ name: evil, seed: 0, machine: { [evil]: evil } }),
  );
  const { html, document } = await pageOf(root);
  expect(html).not.toContain('<script');
  expect(document.querySelector('h1')?.textContent).toBe(evil);
  expect(document.querySelector('pre')?.textContent).toContain('<script>');
  expect(document.querySelector('.facts')?.textContent).toContain(evil);
});

test('the report of an unfinished run names what is missing and shows the rest', async () => {
  const root = runWith([...FULL_RUN.slice(0, 2), { ...FULL_RUN[2], stoppedAfter: 2 }]);
  const { document } = await pageOf(root);
  const missing = [...document.querySelectorAll('.missing li')].map((item) => item.textContent);
  expect(missing).toEqual([
    'MT/1 is not finished: step 90 of 188.',
    'The assembled model (FT) has not been trained.',
    'There is no end-to-end baseline (E2E) in this run.',
  ]);
  expect(document.querySelectorAll('tbody tr')).toHaveLength(2);
  expect(document.querySelectorAll('.wide svg')).toHaveLength(2);
});

test('the report of a failed run says where and why; planned phases are not reported as missing', async () => {
  const root = runWith([FULL_RUN[0], { ...FULL_RUN[1], stoppedAfter: 2 }]);
  const phases = FULL_RUN.map(({ phase }) => ({ phase }));
  writeFileSync(join(root, 'plan.json'), JSON.stringify({ phases }));
  writeStatus(root, 'MT/0', {
    state: 'failed',
    pid: null,
    restarts: 0,
    last_error: 'MT/0: the loss is <NaN>',
  });
  const { document } = await pageOf(root);
  const missing = [...document.querySelectorAll('.missing li')].map((item) => item.textContent);
  expect(missing).toEqual([
    'MT/0 failed at step 90 of 188: the loss is <NaN>',
    'Not started: MT/1, MT/2, MT/3, FT, E2E.',
  ]);
});

test('a phase with a single value has no loss plot', async () => {
  const root = runWith([{ ...FULL_RUN[0], stoppedAfter: 0 }]);
  const record = { ...syntheticRecords(FULL_RUN[0])[0], step: 1 };
  writeFileSync(join(root, 'PT', 'metrics.jsonl'), `${JSON.stringify(record)}\n`);
  const { document } = await pageOf(root);
  expect(document.querySelectorAll('.panels svg')).toHaveLength(0);
});

test.each(FULL_RUN.map(({ phase }) => phase))('a run of only %s is reported', async (phase) => {
  const { document } = await pageOf(runWith(FULL_RUN.filter((part) => part.phase === phase)));
  expect(document.querySelectorAll('.wide svg')).toHaveLength(2);
});

test('the report of a run without incubation does not expect an assembled model', async () => {
  const alone = FULL_RUN.filter(({ phase }) => phase === 'E2E');
  const missing = async (recipe: object) =>
    (await pageOf(runWith(alone, recipe))).document.querySelector('.missing')?.textContent ?? '';
  expect(await missing({ name: 'plain', seed: 0, incubation: 'none' })).toBe('');
  expect(await missing({ name: 'plain', seed: 0, incubation: {} })).toContain('(FT) has not been trained');
});

test('the report of a run that has just started has no figures', async () => {
  const { document, files } = await pageOf(runWith([{ ...FULL_RUN[0], stoppedAfter: 0 }]));
  expect(document.querySelector('.missing')?.textContent).toContain('PT is not finished: no steps recorded.');
  expect(document.querySelectorAll('svg')).toHaveLength(0);
  expect(files.notes).toEqual(['No figure: the run has no evaluation yet.']);
  expect(existsSync(files.html)).toBe(true);
});

test('a folder that is not a run is an input error', async () => {
  const root = mkdtempSync(join(tmpdir(), 'no-run-'));
  await expect(writeReport(root)).rejects.toThrow(InputError);
  await expect(writeReport(root)).rejects.toThrow(`${root} is not a run folder`);
});

test('the method figure follows the plan: stages, depths, trained or frozen', async () => {
  const root = runWith(FULL_RUN, { name: 'x', model: { width: 64, depth: 12 }, data: { format: '<i>' } });
  const phases = [
    { phase: 'PT', depths: [1, 1] },
    { phase: 'MT/1', depths: [1, 6] },
    { phase: '<b>', depths: [6, '</svg>'] },
    { phase: 'E2E', depths: [6, 6] },
  ];
  writeFileSync(join(root, 'plan.json'), JSON.stringify({ phases }));
  const { document, text } = await pageOf(root);
  const kinds = [...document.querySelectorAll('svg.method g')].map(
    (box) => `${box.getAttribute('class')} ${box.textContent}`,
  );
  expect(kinds).toEqual(['trained 1', 'trained 1', 'frozen 1', 'trained 6', 'baseline 6', 'baseline 6']);
  expect(text).toContain('width 64 \u00b7 depth 12');
  expect(text).toContain('format <i>');
});

test('the CSV has a header and a row per record', async () => {
  const { files } = await pageOf(runWith(FULL_RUN.slice(0, 1)));
  const [head, first, ...rows] = readFileSync(files.csv, 'utf8').trimEnd().split('\r\n');
  expect(head.split(',').slice(0, 6)).toEqual(['phase', 'kind', 'epoch', 'step', 'steps', 'loss']);
  expect(first).toMatch(/^PT,step,0,5,564,[\d.]+,,,0\.001,640,/);
  expect(rows.at(-1)).toMatch(/^PT,eval,11,564,,/);
});

test('runs on shares of the images are compared in any order', async () => {
  const roots = [1, 0.25, 0.5].map((fraction) =>
    runWith(FULL_RUN, { name: `${fraction}`, data: { fraction } }),
  );
  expect(dataPoints(roots).map(({ fraction, own }) => [fraction, own?.toFixed(1)])).toEqual([
    [0.25, '84.1'],
    [0.5, '84.1'],
    [1, '84.1'],
  ]);
  const { reports, figures } = await writeComparison(roots);
  expect(figures[0]).toBe(join(roots[0], 'report', 'data-efficiency.svg'));
  const drawn = readFileSync(figures[0], 'utf8');
  for (const label of ['training images, %', 'Deep Incubation', 'End to end']) expect(drawn).toContain(label);
  for (const { html } of reports) {
    const { document } = parseHTML(readFileSync(html, 'utf8'));
    const rows = [...document.querySelectorAll('.runs tbody tr')].map((row) =>
      [...row.querySelectorAll('td')].map((cell) => cell.textContent),
    );
    expect(rows).toEqual([
      ['0.25', '84.10 %', '79.30 %', '25.0 %', roots[1]],
      ['0.5', '84.10 %', '79.30 %', '50.0 %', roots[2]],
      ['1', '84.10 %', '79.30 %', '100 %', roots[0]],
    ]);
    expect(document.querySelectorAll('[aria-label*="share of training images"]')).toHaveLength(2);
  }
});

test('runs with equal shares are compared without a figure', async () => {
  const { reports, figures } = await writeComparison([runWith(FULL_RUN), runWith(FULL_RUN)]);
  expect(figures).toEqual([]);
  const page = readFileSync(reports[1].html, 'utf8');
  expect(parseHTML(page).document.querySelectorAll('.runs tbody tr')).toHaveLength(2);
  expect(page).not.toContain('share of training images"');
});

test('labels of close results do not overlap', async () => {
  const [pt, ...others] = FULL_RUN;
  const low = { ...pt, top1: [1, 10] as [number, number] };
  for (const top1 of [79.3, 83.2, 84.0, 84.1, 84.2, 89]) {
    const baseline = { ...FULL_RUN[6], top1: [40, top1] as [number, number] };
    const { document } = await pageOf(runWith([low, ...others.slice(0, -1), baseline]));
    const shift = (element: { getAttribute(name: string): string | null } | null) =>
      Number(/translate\([^,]+,([^)]+)\)/.exec(element?.getAttribute('transform') ?? '')?.[1] ?? 0);
    const heights = [...document.querySelectorAll('.wide svg')].map((svg) =>
      [...svg.querySelectorAll('text')]
        .filter(({ textContent }) => /Incubation|End to end/.test(textContent ?? ''))
        .map((text) => shift(text) + shift(text.parentElement)),
    );
    expect(heights.map(({ length }) => length)).toEqual([2, 2]);
    for (const [a, b] of heights) expect(Math.abs(a - b)).toBeGreaterThan(35.9);
  }
});

test('epochs of a loss are those of the plan, also of a phase shorter than one', async () => {
  const root = runWith(FULL_RUN);
  writeFileSync(
    join(root, 'plan.json'),
    JSON.stringify({ phases: [{ phase: 'MT/0', steps_per_epoch: 1880 }] }),
  );
  const { document } = await pageOf(root);
  const ticks = [
    ...document.querySelectorAll('.panels figure:nth-child(2) [data-part="x-axis tick label"] text'),
  ];
  expect(Number(ticks.at(-1)?.textContent)).toBeLessThanOrEqual(0.1);
});

test('device hours count the processes of each result, whatever started them, and are summed', async () => {
  const root = runWith(FULL_RUN, { name: 'small run', seed: 4, run: { ranks: 1 } });
  const seconds: Record<string, number> = {};
  for (const { phase } of FULL_RUN) {
    const path = join(root, phase, 'result.json');
    const result = JSON.parse(readFileSync(path, 'utf8'));
    // PT by torchrun on eight devices; E2E's result is from before they were counted.
    const ranks = phase === 'PT' ? 8 : 2;
    seconds[phase] = result.seconds * (phase === 'E2E' ? 1 : ranks);
    writeFileSync(path, JSON.stringify({ ...result, ...(phase !== 'E2E' && { ranks }) }));
  }
  const { document } = await pageOf(root);
  const head = [...document.querySelectorAll('thead th')].map((cell) => cell.textContent);
  const hours = Object.fromEntries(
    [...document.querySelectorAll('tbody tr')].map((row) => {
      const cells = [...row.querySelectorAll('td')].map((cell) => cell.textContent);
      return [cells[0], Number(cells[head.indexOf('device hours')])];
    }),
  );
  for (const phase of ['PT', 'MT/0', 'E2E']) {
    expect(Math.abs((hours[phase] * 3600) / seconds[phase] - 1)).toBeLessThan(0.01);
  }
  const all = Object.entries(seconds).filter(([phase]) => phase !== 'E2E');
  const sum = all.reduce((total, [, each]) => total + each, 0);
  expect(hours['Deep Incubation'] * 3600).toBeGreaterThan(0.99 * sum);
  expect(hours['Deep Incubation'] * 3600).toBeLessThan(1.01 * sum);
  expect(hours['End to end']).toBe(hours.E2E);
});

test.each([
  ['a pretrained model, fine-tuned', ['FT', 'E2E'], { start: { model: 'given.pth' } }, 'Fine-tuning'],
  ['the same, not finished', ['E2E'], { start: { model: 'given.pth' } }, 'Fine-tuning'],
  ['only end to end', ['E2E'], { incubation: 'none' }, 'End to end'],
])(
  '%s is not called Deep Incubation: title, verdict, tiles, table, legend, figure',
  async (_, names, recipe, name) => {
    const phases = FULL_RUN.filter(({ phase }) => names.includes(phase));
    const { files, html } = await pageOf(runWith(phases, { name: 'tuned', seed: 0, ...recipe }));
    expect(html).not.toMatch(/Deep Incubation|meta model|hybrid|assembled/i);
    expect(html).toContain(`<title>tuned · ${name}</title>`);
    expect(html).toContain(`<p class="kind">${name} run`);
    const figure = readFileSync(files.svg ?? '', 'utf8');
    expect(figure).not.toContain('Deep Incubation');
    if (names.includes('FT')) expect(figure).toContain('Fine-tuning');
  },
);

test.each([
  [5, false],
  [2, false],
  [6, true],
])('a report of %i classes shows top-5: %s', async (classes, isShown) => {
  const { text } = await pageOf(runWith(FULL_RUN.slice(-2), { name: 'few', seed: 0, model: { classes } }));
  expect(/top-5\D+\d/.test(text.replace(/Top-1, top-5 and .*?phase's last evaluation/, ''))).toBe(isShown);
});

test('models are compared image by image only if both evaluations recorded the images', async () => {
  const root = runWith(FULL_RUN.map((phase) => ({ ...phase, top1: [10, 50] as const })));
  const hits = (from: number) =>
    Uint8Array.from({ length: 4000 }, (_, i) => (i >= from && i < from + 2000 ? 1 : 0));
  const write = (phase: string, step: number, kept: Uint8Array) =>
    writeConfusion(join(root, phase, 'confusion.json'), {
      step,
      classes: 2,
      counts: [[0, 0, 2000]],
      hits: packHits(kept),
    });
  write('FT', 188, hits(0));
  write('E2E', 564, hits(20));
  const { text } = await pageOf(root);
  expect(text).toMatch(
    /no difference within the uncertainty \(\+0\.00 points, .* compared image by image on 4,000 images\)/,
  );
  // Of an earlier evaluation, or of one with other results, the images say nothing of the result.
  write('E2E', 500, hits(20));
  expect((await pageOf(root)).text).not.toContain('image by image');
  write('E2E', 564, hits(2001));
  expect((await pageOf(root)).text).not.toContain('image by image');
});
