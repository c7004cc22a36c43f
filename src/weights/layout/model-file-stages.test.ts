import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { type EndOf, splitStages } from './model-file-stages.js';

const endOf: EndOf = (name) =>
  /^(?:pos_embed|dist_token)$/.test(name) ? 'first' : /^head/.test(name) ? 'last' : undefined;
const split = (...names: string[]) => splitStages(new Map(names.map((name) => [name, name])), 'file', endOf);

test('a model without stages is one stage', () => {
  expect(split('cls_token', 'blocks.0.norm1.weight', 'blocks.11.norm1.weight')).toHaveLength(1);
});

test('names outside of stages go to the first or last stage, unless it has them; blocks are copied', () => {
  const stages = split(
    'pos_embed',
    'dist_token',
    'head.bias',
    'head_dist.bias',
    'blocks.3.x',
    'stages.0.pos_embed',
    'stages.1.x',
  );
  expect(stages.map((stage) => Object.fromEntries(stage))).toEqual([
    { pos_embed: 'stages.0.pos_embed', dist_token: 'dist_token' },
    { x: 'stages.1.x', 'head.bias': 'head.bias', 'head_dist.bias': 'head_dist.bias' },
  ]);
});

test('ten stages are ordered by number', () => {
  const stages = split(...Array.from({ length: 11 }, (_, i) => `stages.${10 - i}.x`));
  expect(stages.map((stage) => stage.get('x'))).toEqual(
    Array.from({ length: 11 }, (_, i) => `stages.${i}.x`),
  );
});

test('module. is removed only if every name has it', () => {
  expect(split('module.stages.0.x')[0].has('x')).toBe(true);
  expect(split('module.x', 'y')[0].has('module.x')).toBe(true);
});

test('a missing stage, or a name that belongs to no stage', () => {
  expect(() => split('stages.0.x', 'stages.2.x')).toThrow('stages.1 is missing');
  expect(() => split('stages.4000000000.x')).toThrow(InputError);
  expect(() => split('stages.0.x', 'queue')).toThrow('queue does not belong');
});
