import { expect, test } from 'vitest';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { checkedRecipe } from './recipe.js';
import { keysAt } from './recipe-keys.js';

test.each([
  [[], ['a', 'b', 'c', 'd']],
  [['a'], ['inner']],
  [['a', 'inner'], []],
  [
    ['b', 'any name'],
    ['x', 'y'],
  ],
  [['c', 3], ['item']],
  [['d'], ['one', 'other']],
  [['none', 'a'], []],
])('keys at %j', (path, keys) => {
  const schema = z.strictObject({
    a: z.strictObject({ inner: z.number() }).prefault({ inner: 1 }),
    b: z.record(z.string(), z.strictObject({ x: z.number(), y: z.number() })),
    c: z.array(z.strictObject({ item: z.string() })),
    d: z.union([z.strictObject({ one: z.number() }), z.strictObject({ other: z.null() }), z.null()]),
  });
  expect(keysAt(schema, path)).toEqual(keys);
});

test.each([
  [{ modle: {} }, 'modle', 'the keys of a recipe are name, seed, model'],
  [{ model: { dept: 3 } }, 'model.dept', 'the keys of model are preset, '],
  [{ training: { lr: 3 } }, 'training.lr', 'optimizer, schedule'],
  [{ phases: { MT: { epoch: 3 } } }, 'phases.MT.epoch', 'the keys of phases.MT are epochs, '],
])('of %j the wrong key is named, and which there are', (wrong, key, hint) => {
  const whole = {
    ...{ name: 'x', model: { preset: 'vit-tiny' }, incubation: { modules: 4 } },
    ...{ data: { format: 'folder', path: 'images' }, ...wrong },
  };
  expect.assertions(3);
  try {
    checkedRecipe(whole, 'x.yaml');
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    const { message, hint: given } = error as InputError;
    expect(message).toBe(`x.yaml: unknown key ${key}`);
    expect(given).toContain(hint);
  }
});
