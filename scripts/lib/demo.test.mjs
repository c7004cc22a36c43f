import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { alternatives, comparison } from './demo.mjs';

const planned = (
  /** @type {string} */ phase,
  /** @type {number} */ epochs,
  /** @type {number} */ passes,
) => ({
  phase,
  epochs,
  block_passes: passes,
});

const phases = [
  planned('PT', 3, 600),
  planned('MT/0', 1, 400),
  planned('FT', 0.5, 200),
  planned('E2E', 2, 1200),
];

/** The value of a setting in arguments of `run`. @param {string[]} args @param {string} key */
const setting = (args, key) => args.find((each) => each.startsWith(`${key}=`))?.slice(key.length + 1);

test('each alternative has the cost of the whole demo, without its baseline', () => {
  const { growth, meta } = alternatives({ phases }, { out: 'runs/demo', threads: 2 });
  expect(Number(setting(meta, 'phases.PT.epochs'))).toBe(6); // 1200 of 600 for 3 epochs
  expect(Number(setting(growth, 'phases.FT.epochs'))).toBe(1.5); // 600 of 200 for 0.5 epochs
  expect(setting(growth, 'start.meta')).toBe('runs/demo/PT');
  expect(setting(growth, 'phases.E2E')).toBe('none');
});

test('a plan without fine-tuning has no alternatives', () => {
  expect(() => alternatives({ phases: phases.slice(0, 2) }, { out: 'runs/demo', threads: 1 })).toThrow(
    RangeError,
  );
});

test('the table lists all of them, best first, with the uncertainty', () => {
  const out = join(mkdtempSync(join(tmpdir(), 'demo-')), 'demo');
  const write = (/** @type {string} */ folder, /** @type {string} */ name, /** @type {object} */ value) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, name), JSON.stringify(value));
  };
  const result = (/** @type {string} */ phase, /** @type {number} */ top1, block_passes = 1e6) => ({
    phase,
    top1,
    block_passes,
    evaluation_images: 4000,
  });
  const depths = { PT: [1, 1], FT: [64, 64], E2E: [64, 64] };
  write(out, 'plan.json', {
    phases: Object.entries(depths).map(([phase, each]) => ({ phase, depths: each })),
  });
  const incubation = { block_passes: 7.3e6 };
  write(out, 'summary.json', {
    incubation,
    phases: [result('PT', 86, 2.2e6), result('FT', 84), result('E2E', 66)],
  });
  write(`${out}-growth`, 'summary.json', { incubation, phases: [result('FT', 85)] });
  write(`${out}-meta`, 'summary.json', { incubation, phases: [result('PT', 88)] });

  const lines = comparison(out).split('\n');
  expect(lines.slice(1, 6).map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual([
    'meta model, trained longer | 2 | 7.3 M | 88.0',
    'meta model, after PT | 2 | 2.2 M | 86.0',
    'growth, without modules | 128 | 7.3 M | 85.0',
    'Deep Incubation | 128 | 7.3 M | 84.0',
    'end to end | 128 | 7.3 M | 66.0',
  ]);
  // 1.96 standard errors of the difference of two accuracies of 88 % on 4,000 images
  expect(lines).toContain('One seed, 4,000 test images: differences below 1.4 points mean little.');
});
