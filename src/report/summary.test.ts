import { expect, test } from 'vitest';
import type { PhaseResult } from '../run/records.js';
import { ownOutcome, summarize } from './summary.js';
import { sentence, table } from './summary-text.js';
import type { ScoredImages } from './uncertainty.js';

function result(phase: string, cost: number, top1: number): PhaseResult {
  return {
    phase,
    steps: 469,
    images: 60_000,
    block_passes: cost * 1e6,
    macs: cost * 1e12,
    seconds: cost * 10,
    top1,
    top5: 99,
    loss: 0.5,
    parameters: 1,
    trained_parameters: 1,
    memory_bytes: 1,
  };
}

const INCUBATION = [
  result('FT', 4, 84.1),
  result('MT/10', 2, 70),
  result('MT/2', 2, 71),
  result('PT', 1, 60),
];
const run = (...results: PhaseResult[]) => summarize({ name: 'r', seed: 7, results, machine: { cpu: 'x' } });

test('incubation has the cost of all its phases and the result of FT; the baseline is separate', () => {
  const summary = run(...INCUBATION, result('E2E', 10, 79.3));
  expect(summary.phases.map(({ phase }) => phase)).toEqual(['PT', 'MT/2', 'MT/10', 'FT', 'E2E']);
  expect(summary.incubation).toEqual({
    top1: 84.1,
    top5: 99,
    loss: 0.5,
    block_passes: 9e6,
    macs: 9e12,
    seconds: 90,
  });
  expect(summary.end_to_end).toMatchObject({ top1: 79.3, block_passes: 10e6, seconds: 100 });
  expect(summary.winner).toBe('incubation');
  expect(summary.difference_top1).toBeCloseTo(4.8, 10);
  expect(sentence(summary)).toBe(
    'Deep Incubation 84.10 % against 79.30 % end to end (4.80 points ahead, uncertainty unknown), at 0.90 x the block-passes and 0.90 x the train time.',
  );
});

test('if the baseline is better, the sentence says so', () => {
  const summary = run(...INCUBATION, result('E2E', 6, 86));
  expect(summary.winner).toBe('end_to_end');
  expect(summary.difference_top1).toBeCloseTo(-1.9, 10);
  expect(sentence(summary)).toBe(
    'End to end 86.00 % against 84.10 % with Deep Incubation (end to end 1.90 points ahead, uncertainty unknown); Deep Incubation took 1.50 x the block-passes and 1.50 x the train time.',
  );
});

test.each([
  [84.104, 'tie'],
  [84.096, 'tie'],
  [84.11, 'end_to_end'],
  [84.09, 'incubation'],
])('84.1 against %d is %s', (baseline, winner) => {
  expect(run(...INCUBATION, result('E2E', 6, baseline)).winner).toBe(winner);
});

test('a tie is reported as a tie', () => {
  const summary = summarize({
    name: 'r',
    seed: 0,
    results: [...INCUBATION, result('E2E', 10, 84.1)],
    machine: {},
  });
  expect(sentence(summary)).toBe(
    'Deep Incubation and end to end both 84.10 % (+0.00 points, uncertainty unknown); Deep Incubation took 0.90 x the block-passes and 0.90 x the train time.',
  );
});

/** Scores of both models on `images` images. */
const scoredBoth = (images: number, ft: number, e2e: number): ReadonlyMap<string, ScoredImages> =>
  new Map([
    ['FT', { images, right: ft }],
    ['E2E', { images, right: e2e }],
  ]);

const scoredRun = (images: number, ft: number, e2e: number) =>
  summarize({
    name: 'r',
    seed: 0,
    results: [result('FT', 4, (100 * ft) / images), result('E2E', 4, (100 * e2e) / images)],
    machine: {},
    scored: scoredBoth(images, ft, e2e),
  });

test('one image in 60 is not a lead, on either side', () => {
  const [ahead, behind] = [scoredRun(60, 41, 40), scoredRun(60, 40, 41)];
  expect([ahead.winner, behind.winner]).toEqual(['tie', 'tie']);
  expect(ahead.difference_top1).toBeCloseTo(100 / 60, 10);
  expect(ahead.difference_is_paired).toBe(false);
  expect(ahead.incubation?.evaluation_images).toBe(60);
  expect(sentence(ahead)).toBe(
    'Deep Incubation 68.33 % and end to end 66.67 %: no difference within the uncertainty (+1.67 points, 95 % interval -14.95 to +18.17, on 60 images); Deep Incubation took 1.00 x the block-passes and 1.00 x the train time.',
  );
  expect(sentence(behind)).toContain(
    'no difference within the uncertainty (-1.67 points, 95 % interval -18.17 to +14.95,',
  );
});

test('a lead beyond the uncertainty is reported, on either side, with its interval', () => {
  const [ahead, behind] = [scoredRun(4000, 3066, 2897), scoredRun(4000, 2897, 3066)];
  expect([ahead.winner, behind.winner]).toEqual(['incubation', 'end_to_end']);
  expect(sentence(ahead)).toMatch(
    /\(4\.2[23] points ahead, 95 % interval (2\.\d\d) to (6\.\d\d), on 4,000 images\)/,
  );
  const leads = [ahead, behind].map((each) => /interval \S+ to \S+,/.exec(sentence(each))?.[0]);
  expect(leads[0]).toBe(leads[1]);
});

test('fine-tuning of a given model is not called Deep Incubation', () => {
  const results = [result('FT', 4, 84.1), result('E2E', 10, 79.3)];
  const given = { name: 'r', seed: 0, results, machine: {}, way: 'fine_tuning' } as const;
  const summary = summarize({ ...given, scored: scoredBoth(1000, 841, 793) });
  expect(summary).not.toHaveProperty('incubation');
  expect(summary.fine_tuning).toEqual(ownOutcome(summary));
  expect(summary).toMatchObject({ winner: 'fine_tuning', fine_tuning: { top1: 84.1 } });
  expect(sentence(summary)).toMatch(/^Fine-tuning 84\.10 % against 79\.30 % end to end \(4\.80 points ahead/);
  const alone = summarize({ ...given, results: results.slice(0, 1) });
  const baseline = summarize({ ...given, results: results.slice(1) });
  const texts = [
    table(summary),
    sentence(alone),
    sentence(baseline, 'fine_tuning'),
    sentence(summarize({ ...given, results: [] }), 'fine_tuning'),
    sentence(baseline, 'end_to_end'),
    sentence(summarize({ ...given, scored: scoredBoth(60, 41, 40) })),
  ];
  for (const text of texts) expect(text).not.toContain('Incubation');
  expect(texts[0]).toContain('\nFine-tuning ');
});

test.each([
  [2, false],
  [5, false],
  [6, true],
  [undefined, true],
])('top-5 of %s classes is shown: %s', (classes, isShown) => {
  const results = [...INCUBATION, result('E2E', 10, 79.3)];
  const summary = summarize({ name: 'r', seed: 0, results, machine: {}, classes });
  expect(table(summary).includes('top-5')).toBe(isShown);
  expect(table(summary).includes('99.00 %')).toBe(isShown);
  expect(summary.incubation?.top5).toBe(99);
});

test('unfinished parts are absent, not zero', () => {
  const withoutBaseline = run(...INCUBATION);
  expect(withoutBaseline).not.toHaveProperty('end_to_end');
  expect(withoutBaseline).not.toHaveProperty('winner');
  expect(sentence(withoutBaseline)).toMatch(/^Deep Incubation 84.10 %; no finished end-to-end/);
  const baselineOnly = run(result('PT', 1, 60), result('E2E', 10, 79.3));
  expect(baselineOnly).not.toHaveProperty('incubation');
  expect(sentence(baselineOnly)).toMatch(/^End to end 79.30 %; no finished Deep Incubation/);
  expect(sentence(run())).toMatch(/^Neither/);
});

test('the table has a line for each phase, the totals below a rule, and the sentence', () => {
  const lines = table(run(...INCUBATION, result('E2E', 10, 79.3))).split('\n');
  expect(lines[0]).toBe(
    'phase            steps  block-passes    MACs  train time    top-1    top-5  eval loss',
  );
  expect(lines[2]).toBe(
    'PT                 469        1.00 M  1.00 T        10 s  60.00 %  99.00 %      0.500',
  );
  expect(lines[7]).toBe(lines[1]);
  expect(lines[8]).toBe(
    'Deep Incubation               9.00 M  9.00 T  1 min 30 s  84.10 %  99.00 %      0.500',
  );
  expect(lines[9]).toBe(
    'End to end                    10.0 M  10.0 T  1 min 40 s  79.30 %  99.00 %      0.500',
  );
  expect(lines[11]).toMatch(/^Deep Incubation 84.10 % against 79.30 %/);
  expect(table(run(result('PT', 1, 60))).split('\n')).toHaveLength(6);
});

test.each([20, 40, 80, 1000])(
  'the sentence is broken between words for a terminal of %i columns',
  (columns) => {
    const summary = run(...INCUBATION, result('E2E', 10, 79.3));
    const lines = table(summary, columns).trimEnd().split('\n');
    const sentenceLines = lines.slice(lines.lastIndexOf('') + 1);
    expect(sentenceLines.join(' ')).toBe(sentence(summary));
    for (const line of sentenceLines) expect(line.length).toBeLessThanOrEqual(columns);
  },
);

test.each([
  [200, 'phase steps block-passes MACs train time top-1 top-5 eval loss'],
  [80, 'phase steps block-passes train time top-1 top-5 eval loss'],
  [40, 'phase block-passes top-1'],
  [20, 'phase block-passes top-1'],
])('a terminal of %i columns shows %s', (columns, head) => {
  const lines = table(run(...INCUBATION, result('E2E', 10, 79.3)), columns).split('\n');
  expect(lines[0].split(/ +/).join(' ')).toBe(head);
  for (const line of lines.slice(0, 10)) expect(line.length).toBeLessThanOrEqual(Math.max(columns, 40));
});
