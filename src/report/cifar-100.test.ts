import { expect, test } from 'vitest';
import type { PhaseResult } from '../run/records.js';
import { cifar100Table } from './cifar-100.js';
import { summarize } from './summary.js';
import type { Way } from './way.js';

function run(
  name: string,
  scores: Record<string, number>,
  { way, hours = 1 }: { way?: Way; hours?: number } = {},
) {
  const results = Object.entries(scores).map(
    ([phase, top1]): PhaseResult => ({
      phase,
      steps: 31_250,
      images: 1,
      block_passes: 1,
      macs: 1,
      seconds: 3600 * hours,
      top1,
      top5: 99,
      loss: 1,
      parameters: 1,
      trained_parameters: 1,
      memory_bytes: 1,
    }),
  );
  const summary = summarize({ name, seed: 0, results, machine: {}, classes: 100, ...(way && { way }) });
  return { root: `runs/${name}`, summary };
}

const rowOf = (table: ReturnType<typeof cifar100Table>, model: string, method: string) =>
  table?.lines.find((line) => line[0] === model && line[1] === method)?.slice(2);

test('the published table, with the results of the runs in their rows', () => {
  const table = cifar100Table([
    run('resnet-110', { PT: 60, 'MT/0': 65, FT: 73.5, E2E: 71 }),
    run('deit-tiny-32-infopro', { E2E: 73 }, { way: 'infopro', hours: 2.25 }),
    run('deit-tiny-128-dgl', { E2E: 70 }, { way: 'dgl', hours: 0.01 }),
    run('demo', { E2E: 99 }),
  ]);
  expect(table?.lines).toHaveLength(1 + 3 * 4);
  expect(rowOf(table, 'ResNet-110', 'Deep Incubation')).toEqual(['73.0 %', '2.5', '73.50 %', '3.0']);
  expect(rowOf(table, 'ResNet-110', 'End to end')).toEqual(['71.1 %', '2.0', '71.00 %', '1.0']);
  expect(rowOf(table, 'ResNet-110', 'InfoPro')).toEqual(['71.2 %', '2.1', '-', '-']);
  expect(rowOf(table, 'ResNet-110', 'DGL')).toEqual(['69.2 %', '2.1', '-', '-']);
  expect(rowOf(table, 'DeiT-T-32', 'InfoPro')).toEqual(['73.3 %', '2.0', '73.00 %', '2.3']);
  expect(rowOf(table, 'DeiT-T-32', 'Deep Incubation')).toEqual(['75.3 %', '2.2', '-', '-']);
  expect(rowOf(table, 'DeiT-T-128', 'DGL')).toEqual(['70.9 %', '7.4', '70.00 %', '< 0.1']);
  expect(rowOf(table, 'DeiT-T-128', 'Deep Incubation')).toEqual(['77.2 %', '6.0', '-', '-']);
  expect(table?.sources).toEqual([
    'resnet-110: runs/resnet-110 (FT 31,250 steps, E2E 31,250 steps)',
    'deit-tiny-32-infopro: runs/deit-tiny-32-infopro (E2E 31,250 steps)',
    'deit-tiny-128-dgl: runs/deit-tiny-128-dgl (E2E 31,250 steps)',
  ]);
});

test('several runs of a recipe count as their mean; an unfinished run has no result', () => {
  const both = [run('deit-tiny-32', { FT: 75, E2E: 72 }), run('deit-tiny-32', { FT: 76 }, { hours: 3 })];
  const table = cifar100Table([...both, run('resnet-110', {})]);
  expect(rowOf(table, 'DeiT-T-32', 'Deep Incubation')?.slice(2)).toEqual(['75.50 % (mean of 2 runs)', '2.0']);
  expect(rowOf(table, 'DeiT-T-32', 'End to end')?.slice(2)).toEqual(['72.00 %', '1.0']);
  expect(rowOf(table, 'ResNet-110', 'End to end')?.slice(2)).toEqual(['-', '-']);
  expect(table?.sources.at(-1)).toBe('resnet-110: runs/resnet-110 (not finished)');
});

test('no table without such runs', () => {
  expect(cifar100Table([run('demo', { FT: 80 })])).toBeUndefined();
});
