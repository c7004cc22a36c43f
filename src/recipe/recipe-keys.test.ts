import { expect, test } from 'vitest';
import { z } from 'zod';
import { InputError } from '../base/errors.js';
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
  [{ modle: {} }, 'modle', 'the keys of a recipe are name, seed, task, segmentation, detection, model'],
  [{ model: { dept: 3 } }, 'model.dept', 'the keys of model are preset, '],
  [{ training: { lr: 3 } }, 'training.lr', 'optimizer, schedule'],
  [{ phases: { MT: { epoch: 3 } } }, 'phases.MT.epoch', 'the keys of phases.MT are epochs, '],
])('of %j the wrong key is named, and which there are', (wrong, key, hint) => {
  const whole = {
    name: 'x',
    model: { preset: 'vit-tiny' },
    incubation: { modules: 4 },
    data: { format: 'folder', path: 'images' },
    ...wrong,
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

function hintFor(wrong: object): string | undefined {
  const whole = {
    name: 'x',
    model: { preset: 'vit-tiny' },
    incubation: { modules: 4 },
    data: { format: 'folder', path: 'images' },
    ...wrong,
  };
  try {
    checkedRecipe(whole, 'x.yaml');
  } catch (error) {
    return (error as InputError).hint;
  }
  return undefined;
}

test.each([
  [{ modle: {} }, 'model'],
  [{ training: { lr: 3 } }, 'training.optimizer.lr'],
  [{ training: { optimizer: { learning_rate: 3 } } }, 'training.optimizer.lr'],
  [{ lr: 3 }, 'training.optimizer.lr'],
  [{ training: { warmup: 3 } }, 'training.schedule.warmup'],
  [{ training: { epoch: 3 } }, 'training.epochs'],
  [{ epochs: 3 }, 'training.epochs'],
  [{ batch_size: 3 }, 'training.batch_size'],
  [{ training: { batchsize: 3 } }, 'training.batch_size'],
  [{ phases: { MT: { lr: 3 } } }, 'phases.MT.optimizer.lr'],
  [{ phases: { FT: { learning_rate: 3 } } }, 'phases.FT.optimizer.lr'],
  [{ phases: { ft: { epochs: 3 } } }, 'phases.FT'],
  [{ model: { preset: 'vit-tiny', num_classes: 3 } }, 'model.classes'],
  [{ model: { preset: 'vit-tiny', clases: 3 } }, 'model.classes'],
  [{ device: 'cpu' }, 'run.device'],
  [{ data: { format: 'folder', mixup: 0.8 } }, 'data.augment.mixup'],
  [{ training: { mixup: 0.8 } }, 'data.augment.mixup'],
  [{ start: { modell: 'x' } }, 'start.model'],
])('of %j the right key is named: %s', (wrong, key) => {
  expect(hintFor(wrong)).toMatch(new RegExp(`^did you mean .${key}.\\? the keys of `));
});

test('a key that resembles no other has no suggestion; a section of the wrong type lists its keys', () => {
  expect(hintFor({ training: { zzzzzzzz: 1 } })).toMatch(/^the keys of training are /);
  expect(hintFor({ training: { optimizer: 'adamw' } })).toMatch(
    /^training.optimizer is a section; its keys are name, lr, /,
  );
});
