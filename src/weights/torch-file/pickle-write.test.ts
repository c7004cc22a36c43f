import fc from 'fast-check';
import { expect, test } from 'vitest';
import { unpickle } from './pickle.js';
import type { PickleValue, PickleWorld } from './pickle-values.js';
import { type Picklable, pickleOf } from './torch-file-write.js';

/** Shows what a pickle refers to, and calls, as lists. */
const world: PickleWorld = {
  global: (name) => ({ kind: 'global', name, call: (args) => [name, ...args] }),
  persistent: (id) => ['persistent', id],
  build: () => {
    throw new Error('nothing is built');
  },
};
const back = (value: Picklable): PickleValue => unpickle(pickleOf(value), world, 'pickle');

test.each<[Picklable, string]>([
  // CPython 3.11's pickletools.optimize(pickle.dumps(value, 2)): without memo instructions, which are left out.
  [
    [1, -1, 255, 256, 65536, 1.5, 'a', null, true],
    '\x80\x02](K\x01J\xff\xff\xff\xffK\xffM\x00\x01J\x00\x00\x01\x00G?\xf8\x00\x00\x00\x00\x00\x00X\x01\x00\x00\x00aN\x88e.',
  ],
  [
    new Map([
      [1, true],
      [2, false],
    ]),
    '\x80\x02}(K\x01\x88K\x02\x89u.',
  ],
])('%o is what CPython writes', (value, expected) => {
  expect(Buffer.from(pickleOf(value)).toString('latin1')).toBe(expected);
});

test('any plain data is read back', () => {
  const { value } = fc.letrec<{ value: Picklable }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom(null, true, false),
      fc.maxSafeInteger(),
      fc.double({ noNaN: true }),
      fc.string({ unit: 'grapheme' }),
      fc.array(tie('value')),
      fc.array(fc.tuple(fc.oneof(fc.string(), fc.integer()), tie('value'))).map((pairs) => new Map(pairs)),
    ),
  }));
  fc.assert(
    fc.property(value, (each) => {
      expect(back(each)).toEqual(each);
    }),
  );
});

test('tuples, names, calls and references', () => {
  const name = { kind: 'name', module: 'torch', name: 'FloatStorage' } as const;
  const items = new Map<string, Picklable>([['k', 1]]);
  expect(back({ kind: 'tuple', items: [1, { kind: 'tuple', items: [] }] })).toEqual([1, []]);
  expect(back({ kind: 'persistent', id: ['x'] })).toEqual(['persistent', ['x']]);
  expect(back(name)).toMatchObject({ kind: 'global', name: 'torch.FloatStorage' });
  expect(back({ kind: 'call', callee: name, args: [2, 'a'] })).toEqual(['torch.FloatStorage', 2, 'a']);
  const dictionaries = {
    ...world,
    global: () => ({ kind: 'global', name: '', call: () => new Map() }) as const,
  };
  expect(unpickle(pickleOf({ kind: 'call', callee: name, args: [], items }), dictionaries, 'x')).toEqual(
    items,
  );
});
