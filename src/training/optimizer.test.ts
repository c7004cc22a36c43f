import { expect, test } from 'vitest';
import { goldenBlueprint } from '../../test/support.js';
import { buildStage, StagedModel } from '../models/staged.js';
import { ones } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import type { Tensor } from '../torch/tensor.js';
import { decayGroups } from './optimizer.js';

const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0]) } as const;
const depths = [1, 2, 1];
const stages = depths.map((_, i) => buildStage(goldenBlueprint, depths, i, 0, context));

function decayed(parameters: Iterable<readonly [string, Tensor]>, undecayed: readonly string[]) {
  const groups = decayGroups([...parameters], 0.05, undecayed);
  expect(groups.map(({ weightDecay }) => weightDecay)).toEqual([0, 0.05]);
  const [without, within] = groups.map((group) => group.parameters.map(([name]) => name));
  return { without, within };
}

test('the whole model: vectors, position embedding and class token are not decayed', () => {
  const model = new StagedModel(stages);
  const { without, within } = decayed(model.namedParameters(), goldenBlueprint.undecayed);
  const shapes = new Map(Array.from(model.namedParameters(), ([name, { shape }]) => [name, shape.length]));
  expect(without.filter((name) => shapes.get(name) !== 1)).toEqual([
    'stages.0.pos_embed',
    'stages.0.cls_token',
  ]);
  expect(within.every((name) => name.endsWith('weight') && (shapes.get(name) ?? 0) > 1)).toBe(true);
  expect(within).toContain('stages.0.patch_embed.proj.weight');
  expect(without.length + within.length).toBe(shapes.size);
});

test('stage 0 alone in MT: position embedding and class token are decayed, as in the official code', () => {
  const { without, within } = decayed(stages[0].namedParameters(), []);
  expect(within.slice(0, 3)).toEqual(['pos_embed', 'cls_token', 'patch_embed.proj.weight']);
  expect(without).not.toContain('pos_embed');
  expect(without).toContain('patch_embed.proj.bias');
});

test('a group without parameters is left out; matrices named .bias are not decayed', () => {
  const one = ones([2, 2]);
  expect(decayGroups([['a.weight', one]], 0.1, [])).toEqual([
    { weightDecay: 0.1, parameters: [['a.weight', one]] },
  ]);
  expect(decayGroups([['a.bias', one]], 0.1, [])[0].weightDecay).toBe(0);
  // The exception is by whole name, not by its end.
  expect(decayGroups([['other.pos_embed', one]], 0.1, ['pos_embed'])[0].weightDecay).toBe(0.1);
});
