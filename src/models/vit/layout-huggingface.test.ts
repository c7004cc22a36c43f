import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { fromHuggingFace, isHuggingFace, toHuggingFace } from './layout-huggingface.js';

const from = (...names: string[]) => [
  ...fromHuggingFace(new Map(names.map((name) => [name, name])), 'file').keys(),
];

test('a model without the name of its base is known too', () => {
  const names = ['embeddings.patch_embeddings.projection.weight', 'layers.11.mlp.fc1.bias'];
  expect(isHuggingFace(names)).toBe(true);
  expect(from(...names)).toEqual(['patch_embed.proj.weight', 'blocks.11.mlp.fc1.bias']);
});

test.each([
  ['stages.0.patch_embed.proj.weight'],
  ['swin.embeddings.patch_embeddings.projection.weight'],
  ['x'],
])('%s is none of theirs', (name) => expect(isHuggingFace([name])).toBe(false));

test('the pooler, which no classifier reads, is left out', () => {
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

test('a tensor that does not belong there is refused by name', () => {
  const tensor = { dtype: 'U8', shape: [3], data: new Uint8Array(3) } as const;
  for (const name of ['fc_norm.weight', 'blocks.0.ls1.gamma', 'reg_token']) {
    expect(() => toHuggingFace(new Map([[name, tensor]]))).toThrow(`the tensor ${name} does not belong`);
  }
});
