import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { divideStages, joinStages } from './model-file-divide.js';

/** Names of a model in stages of these depths, each with the number it has in the whole. */
function model(depths: readonly number[]): Map<string, number>[] {
  let block = 0;
  return depths.map((depth, i) => {
    const blocks = Array.from({ length: depth }, (_, j): [string, number] => [
      `blocks.${j}.norm1.bias`,
      block++,
    ]);
    const first: [string, number][] =
      i === 0
        ? [
            ['cls_token', -1],
            ['patch_embed.proj.bias', -2],
          ]
        : [];
    const last: [string, number][] =
      i === depths.length - 1
        ? [
            ['norm.bias', -3],
            ['head_dist.bias', -4],
          ]
        : [];
    return new Map([...first, ...blocks, ...last]);
  });
}

describe('divideStages', () => {
  test.each([
    [
      [1, 1, 1, 1],
      [2, 2],
    ],
    [[12], [3, 3, 3, 3]],
    [[1, 2, 1, 1], [5]],
    [
      [2, 2],
      [2, 2],
    ],
    [
      [11, 1],
      [1, 11],
    ],
  ])('of %o into %o, and back', (before, after) => {
    expect(divideStages(model(before), after)).toEqual(model(after));
    expect(divideStages(divideStages(model(before), after), before)).toEqual(model(before));
  });

  test('names keep their order: embeddings, blocks, norm and heads', () => {
    const names = [...joinStages(model([1, 1])).keys()];
    expect(names).toEqual([...model([2])[0].keys()]);
  });

  test.each<[string, Map<string, number>[], number[], string]>([
    ['too few', model([2, 2]), [3], 'm: has 4 blocks, which cannot be divided into stages of 3'],
    ['too many', model([2, 2]), [2, 3], 'cannot be divided into stages of 2, 3'],
    ['an empty stage', model([2, 2]), [4, 0], 'cannot be divided into stages of 4, 0'],
    ['half blocks', model([2]), [0.5, 1.5], 'has 2 blocks'],
    ['none', model([2, 2]), [], 'has 4 blocks'],
    [
      'a stage without blocks',
      [...model([2]), new Map([['norm.bias', 0]])],
      [2],
      'm: stages.1 has no blocks',
    ],
    ['a gap', [new Map([['blocks.1.x', 0]])], [1], 'stages.0.blocks.0 is missing'],
    [
      'a tensor of no known end',
      [
        new Map([
          ['blocks.0.x', 0],
          ['neck.x', 0],
        ]),
      ],
      [1],
      'm: the tensor neck.x of stage 0',
    ],
    ['a head in the middle', model([2]).concat(model([1])), [3], 'm: the tensor norm.bias of stage 0'],
    ['an embedding in the middle', model([1, 1]).reverse(), [2], 'of stage 0 belongs to no other'],
  ])('%s is an error', (_, stages, depths, message) => {
    expect(() => divideStages(stages, depths, 'm')).toThrow(InputError);
    expect(() => divideStages(stages, depths, 'm')).toThrow(message);
  });
});
