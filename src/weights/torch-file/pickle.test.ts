import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { unpickle } from './pickle.js';
import type { PickleWorld } from './pickle-values.js';

/** An unpickler's world without any classes or functions. */
const nothing: PickleWorld = {
  global: (name) => {
    throw new InputError(`no ${name}`);
  },
  persistent: () => {
    throw new InputError('no persistent objects');
  },
  build: () => {
    throw new InputError('no objects');
  },
};

const run = (pickle: string | Uint8Array, world = nothing) =>
  unpickle(typeof pickle === 'string' ? Buffer.from(pickle, 'latin1') : pickle, world, 'file');

test.each<[string, string, unknown]>([
  // CPython 3.11's pickle.loads gives these values for these bytes.
  [
    'protocol 2',
    '\x80\x02(K\x01M,\x01J\xa0\x86\x01\x00\x8a\x05\x00\x00\x00\x00\x01tq\x00.',
    [1, 300, 100000, 2 ** 32],
  ],
  [
    'negative numbers',
    '\x80\x02J\xff\xff\xff\xffJ\xd4\xfe\xff\xff\x8a\x05\x00\x00\x00\x00\xff\x87q\x00.',
    [-1, -300, -(2 ** 32)],
  ],
  ['a long', '\x80\x02\x8a\t\x00\x00\x00\x00\x00\x00\x00\x00\x01.', 2n ** 64n],
  ['floats and None', '\x80\x02(G?\xf8\x00\x00\x00\x00\x00\x00N\x88\x89tq\x00.', [1.5, null, true, false]],
  [
    'a dictionary',
    '\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01K\x02]q\x02u.',
    new Map<unknown, unknown>([
      ['a', 1],
      [2, []],
    ]),
  ],
  ['text beyond ASCII', '\x80\x02X\x03\x00\x00\x00\xc3\xa4bq\x00.', 'äb'],
  [
    'protocol 4',
    '\x80\x04\x95\x0f\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01k\x94]\x94(K\x01K\x02es.',
    new Map([['k', [1, 2]]]),
  ],
  ['bytes', '\x80\x03C\x02\x00\xffq\x00.', new Uint8Array([0, 255])],
])('%s', (_, pickle, value) => {
  const result = run(pickle);
  expect(result instanceof Uint8Array ? new Uint8Array(result) : result).toEqual(value);
});

test('a list that contains itself is built', () => {
  const list = run('\x80\x02]q\x00h\x00a.');
  expect(Array.isArray(list) && list[0] === list).toBe(true);
});

test('an object memoised twice is one object', () => {
  const pair = run('\x80\x02]q\x00h\x00\x86.');
  expect(Array.isArray(pair) && pair[0] === pair[1]).toBe(true);
});

test.each([
  ['an empty pickle', '', 'ends inside'],
  ['no end', '\x80\x02K\x01', 'ends inside'],
  ['nothing to return', '\x80\x02.', 'the stack is empty'],
  ['an argument cut off', '\x80\x02X\xff\xff\xff\xffab', 'ends inside'],
  ['a length of 2^64 - 1', '\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffab', 'ends inside'],
  ['a pop below the mark', '\x80\x02K\x01(a.', 'the stack is empty'],
  ['a tuple without a mark', '\x80\x02K\x01t.', 'the mark is missing'],
  ['a memo entry that was never written', '\x80\x02h\x07.', 'the memo has no entry 7'],
  ['an append to a number', '\x80\x02K\x01K\x02a.', 'a list was expected'],
  ['an item of a list', '\x80\x02]K\x01K\x02s.', 'a dictionary was expected'],
  ['a key without a value', '\x80\x02}(K\x01u.', 'a key without a value'],
  ['a list as a key', '\x80\x02}]K\x01s.', 'neither text nor a number'],
  ['a call of a number', '\x80\x02K\x01)R.', 'is not a function'],
  [
    'an integer of a million bytes',
    `\x80\x02\x8b\x40\x42\x0f\x00${'x'.repeat(1_000_000)}.`,
    'an integer of 1000000 bytes',
  ],
  ['text that is not UTF-8', '\x80\x02X\x01\x00\x00\x00\xff.', 'not UTF-8'],
  ['a protocol of the future', '\x80\x06N.', 'protocol 6'],
  ['text mode', 'I1\n.', 'instruction 0x49'],
  ['a class instance', '(iposix\nsystem\n.', 'instruction 0x69'],
  ['an extension code', '\x80\x02\x82\x01.', 'instruction 0x82'],
  ['a global without a name', '\x80\x04NN\x93.', 'a global without a name'],
])('%s is refused', (_, pickle, message) => {
  expect(() => run(pickle)).toThrow(InputError);
  expect(() => run(pickle)).toThrow(message);
});

test('a pickle of endless instructions is refused', () => {
  expect(() => run(Buffer.alloc(1_000_001, 'N'))).toThrow('more than 1000000');
});
