import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { frozenBy } from './freeze.js';

const names = [
  'stages.0.pos_embed',
  'stages.0.patch_embed.proj.weight',
  'stages.0.blocks.0.attn.qkv.weight',
  'stages.0.blocks.0.mlp.fc1.weight',
  'stages.1.blocks.0.attn.qkv.weight',
  'stages.1.blocks.10.attn.proj.bias',
  'stages.1.head.weight',
];
const frozen = (...patterns: string[]) => [...frozenBy(patterns, names)];

describe('patterns match', () => {
  test.each<[string, number[]]>([
    ['patch_embed.*', [1]],
    ['pos_embed', [0]],
    ['stages.0.*', [0, 1, 2, 3]],
    ['blocks.*.attn.*', [2, 4, 5]],
    ['blocks.0.*', [2, 3, 4]],
    ['blocks.1.*', []],
    ['blocks.1*', [5]],
    ['stages.*.blocks.0.*', [2, 3, 4]],
    ['*.bias', [5]],
    ['stages.1.head.weight', [6]],
    ['*', [0, 1, 2, 3, 4, 5, 6]],
    ['**', [0, 1, 2, 3, 4, 5, 6]],
  ])('%s', (pattern, expected) => {
    if (expected.length === 0) expect(() => frozen(pattern)).toThrow(InputError);
    else expect(frozen(pattern)).toEqual(expected.map((i) => names[i]));
  });
});

test('several patterns freeze everything that any of them matches, once', () => {
  expect(frozen('stages.1.*', 'blocks.*.attn.*', 'pos_embed').sort()).toEqual(
    [0, 2, 4, 5, 6].map((i) => names[i]).sort(),
  );
  expect(frozen()).toEqual([]);
});

test('whole names are matched, and a dot is a dot', () => {
  for (const pattern of ['patch_embed', 'embed', 'proj.*', 'pos.embed', 'pos_embe?', 'stages.(0).*', '']) {
    expect(() => frozen('pos_embed', pattern), pattern).toThrow(
      `freeze: the pattern ${pattern} matches no parameter of the model`,
    );
  }
});

test('a name is a pattern that matches only itself', () => {
  const name = fc.stringMatching(/^[a-z.+$^[\](){}|?\\]{1,12}$/);
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), (all) => {
      for (const one of all) expect([...frozenBy([one], all)]).toEqual([one]);
    }),
  );
});
