import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import type { DType, TensorData } from '../../base/tensor-data.js';
import type { LazyTensor } from '../../weights/lazy-tensor.js';
import { fromHuggingFace, isHuggingFace, joinQkv, splitQkv, toHuggingFace } from './layout-huggingface.js';

const from = (...names: string[]) => [
  ...fromHuggingFace(new Map(names.map((name) => [name, name])), 'file').keys(),
];

test('a model without the base prefix is recognised', () => {
  const names = ['embeddings.patch_embeddings.projection.weight', 'layers.11.mlp.fc1.bias'];
  expect(isHuggingFace(names)).toBe(true);
  expect(from(...names)).toEqual(['patch_embed.proj.weight', 'blocks.11.mlp.fc1.bias']);
});

test.each([
  ['stages.0.patch_embed.proj.weight'],
  ['swin.embeddings.patch_embeddings.projection.weight'],
  ['x'],
])('%s is not a name of Hugging Face', (name) => expect(isHuggingFace([name])).toBe(false));

test('the pooler, which the classifier does not use, is left out', () => {
  expect(from('vit.pooler.dense.weight', 'vit.layernorm.bias')).toEqual(['norm.bias']);
});

test.each([
  [['vit.embeddings.mask_token'], 'vit.embeddings.mask_token'],
  [['vit.encoder.layer.0.layer_scale1.lambda1'], 'layer_scale1'],
  [['vit.encoder.layer.0.constructor.weight'], 'constructor'],
  [['constructor.weight'], 'constructor'],
  [['classifier.weight', 'cls_classifier.weight'], 'cls_classifier.weight'],
  [['vit.layernorm.weight', 'deit.layernorm.weight'], 'deit.layernorm.weight'],
])('%o is refused', (names, culprit) => {
  expect(() => from(...names)).toThrow(InputError);
  expect(() => from(...names)).toThrow(
    `file: the tensor ${names.find((name) => name.includes(culprit))} does not belong`,
  );
});

test('an unexpected tensor is refused by name', () => {
  const tensor = { dtype: 'U8', shape: [3], data: new Uint8Array(3) } as const;
  for (const name of ['fc_norm.weight', 'blocks.0.ls1.gamma', 'reg_token']) {
    expect(() => toHuggingFace(new Map([[name, tensor]]))).toThrow(`the tensor ${name} does not belong`);
  }
});

/** Bytes of one value, [rows, 2]. */
function tensor(value: number, rows = 1, dtype: DType = 'U8'): LazyTensor {
  const data = new Uint8Array(2 * rows).fill(value);
  const shape = [rows, 2];
  return {
    dtype,
    shape,
    load: async () => ({ dtype, shape, data }),
    loadInto: async (target) => target.set(data),
    claim: () => {},
  };
}

test.each([
  ['blocks.0.attn.q', 'blocks.0.attn.k', 'blocks.0.attn.v'],
  ['blocks.0.attn.q_proj', 'blocks.0.attn.k_proj', 'blocks.0.attn.v_proj'],
  ['blocks.0.attn.query', 'blocks.0.attn.key', 'blocks.0.attn.value'],
])('%s, %s and %s are joined in this order, whatever their order in the file', async (q, k, v) => {
  const joined = joinQkv(
    new Map([
      ['before', tensor(0)],
      [`${v}.weight`, tensor(3)],
      [`${q}.weight`, tensor(1)],
      ['between', tensor(0)],
      [`${k}.weight`, tensor(2)],
    ]),
    'file',
  );
  expect([...joined.keys()]).toEqual(['before', 'blocks.0.attn.qkv.weight', 'between']);
  const data = new Uint8Array([1, 1, 2, 2, 3, 3]);
  expect(await joined.get('blocks.0.attn.qkv.weight')?.load()).toEqual({ dtype: 'U8', shape: [3, 2], data });
});

test('joined tensors, and other names with the same beginning, are unchanged', () => {
  const names = [
    'blocks.0.attn.qkv.weight',
    'blocks.0.attn.q_norm.weight',
    'blocks.0.attn.q_bias',
    'q.weight',
  ];
  const stage = new Map(names.map((name) => [name, tensor(1)]));
  expect(joinQkv(stage, 'file')).toEqual(stage);
});

test.each<[string, [string, LazyTensor][], string]>([
  [
    'no value',
    [
      ['q', tensor(1)],
      ['k', tensor(1)],
    ],
    'for blocks.0.attn.qkv.weight it has q and k',
  ],
  [
    'both ways',
    [
      ['q', tensor(1)],
      ['k', tensor(1)],
      ['v', tensor(1)],
      ['qkv', tensor(1)],
    ],
    'q and k and v and qkv',
  ],
  [
    'two dtypes',
    [
      ['q', tensor(1)],
      ['k', tensor(1)],
      ['v', tensor(1, 1, 'I8')],
    ],
    'U8 [1,2], I8 [1,2] cannot be concatenated',
  ],
  ['scalars', ['q', 'k', 'v'].map((part) => [part, { ...tensor(1), shape: [] }]), 'cannot be concatenated'],
  [
    'other sizes',
    [
      ['q', tensor(1)],
      ['k', { ...tensor(1), shape: [2, 1] }],
      ['v', tensor(1)],
    ],
    'U8 [2,1]',
  ],
])('%s is an error that names the layer', (_, parts, message) => {
  const stage = new Map(parts.map(([part, each]) => [`blocks.0.attn.${part}.weight`, each]));
  expect(() => joinQkv(stage, 'file')).toThrow(InputError);
  expect(() => joinQkv(stage, 'file')).toThrow(message);
});

test('splitting gives views of the same bytes', () => {
  const whole: TensorData = {
    dtype: 'I16',
    shape: [6, 1],
    data: Uint8Array.from({ length: 12 }, (_, i) => i),
  };
  const { q, k, v } = splitQkv(whole);
  expect(k).toEqual({ dtype: 'I16', shape: [2, 1], data: new Uint8Array([4, 5, 6, 7]) });
  expect([q, k, v].every(({ data }) => data.buffer === whole.data.buffer)).toBe(true);
});
