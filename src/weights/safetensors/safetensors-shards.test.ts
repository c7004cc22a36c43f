import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { openSafetensorsShards, shardNames, writeSafetensors } from './safetensors.js';

const folder = mkdtempSync(join(tmpdir(), 'shards-'));
const index = join(folder, 'model.safetensors.index.json');
afterAll(() => rmSync(folder, { recursive: true }));

mkdirSync(join(folder, 'inside'));
for (const [i, file] of ['one', 'two', 'inside/three'].entries()) {
  const tensor = { dtype: 'U8', shape: [1], data: new Uint8Array([i]) } as const;
  writeSafetensors(
    join(folder, file),
    new Map([
      ['a', tensor],
      [file, tensor],
    ]),
  );
}

test('each tensor comes from the file that the index says', async () => {
  writeFileSync(index, JSON.stringify({ metadata: {}, weight_map: { two: 'two', a: 'two', one: 'one' } }));
  const tensors = [...openSafetensorsShards(index)];
  const loaded = await Promise.all(
    tensors.map(async ([name, tensor]) => [name, (await tensor.load()).data[0]]),
  );
  expect(loaded).toEqual([
    ['two', 1],
    ['a', 1],
    ['one', 0],
  ]);
});

test('the files that an index names, each once', () => {
  writeFileSync(index, JSON.stringify({ weight_map: { two: 'two', a: 'two', one: 'one' } }));
  expect(shardNames(index)).toEqual(['two', 'one']);
  writeFileSync(index, JSON.stringify({ weight_map: { a: 'two', b: '../one' } }));
  expect(() => shardNames(index)).toThrow('refers to ../one, which is not in its folder');
});

test.each([
  ['{', 'not an index'],
  ['{"weight_map":{"a":1}}', 'not an index'],
  ['{"weight_map":{"b":"one"}}', 'the tensor b is not in one'],
  ['{"weight_map":{"a":"absent"}}', 'absent'],
  ['{"weight_map":{"a":"inside/three"}}', 'refers to inside/three, which is not in its folder'],
  ['{"weight_map":{"a":"../shards/one"}}', 'not in its folder'],
  ['{"weight_map":{"a":".."}}', 'not in its folder'],
])('%s is an error', (content, message) => {
  writeFileSync(index, content);
  expect(() => openSafetensorsShards(index)).toThrow(InputError);
  expect(() => openSafetensorsShards(index)).toThrow(message);
});
