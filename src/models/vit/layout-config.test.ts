import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { huggingFaceHints, timmHints } from './layout-config.js';

const folder = mkdtempSync(join(tmpdir(), 'layout-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const write = (config: object | string, name = 'config.json') =>
  writeFileSync(join(folder, name), typeof config === 'string' ? config : JSON.stringify(config));

test('without the file there are no facts', () => {
  expect(huggingFaceHints(join(folder, 'absent'))).toEqual({});
  expect(timmHints(join(folder, 'absent'))).toEqual({});
});

test('the files that transformers writes', () => {
  expect(huggingFaceHints('test/fixtures/interop/huggingface')).toEqual({
    heads: 4,
    layerNormEps: 1e-3,
    imageSize: 16,
    classes: 5,
    mean: [0.1, 0.2, 0.3],
    std: [0.4, 0.5, 0.6],
    otherResize: 'preprocessor_config.json says no crop, resampling bilinear',
  });
});

test('sizes as pairs, and the number of classes', () => {
  write({ image_size: [32, 32], num_labels: 7, num_attention_heads: 2 });
  expect(huggingFaceHints(folder)).toEqual({ imageSize: 32, classes: 7, heads: 2 });
});

test("timm's config.json, as on the hub", () => {
  const half = [0.5, 0.5, 0.5];
  // That of timm/vit_tiny_patch16_224.augreg_in21k_ft_in1k.
  const pretrained_cfg = {
    tag: 'augreg_in21k_ft_in1k',
    custom_load: true,
    input_size: [3, 224, 224],
    fixed_input_size: true,
    interpolation: 'bicubic',
    crop_pct: 0.9,
    crop_mode: 'center',
    mean: half,
    std: half,
    num_classes: 1000,
    pool_size: null,
    first_conv: 'patch_embed.proj',
    classifier: 'head',
  };
  const config = {
    architecture: 'vit_tiny_patch16_224',
    num_classes: 1000,
    num_features: 192,
    pretrained_cfg,
  };
  write({ ...config, global_pool: 'token' });
  const stated = { imageSize: 224, classes: 1000, mean: half, std: half, evalCrop: 0.9 };
  expect(timmHints(folder)).toEqual(stated);
  write({ ...config, pretrained_cfg: { ...pretrained_cfg, interpolation: 'bilinear', crop_mode: 'squash' } });
  expect(timmHints(folder)).toEqual({
    ...stated,
    otherResize: 'config.json says interpolation bilinear, crop_mode squash',
  });
  // timm writes null for what a model leaves to timm's defaults.
  write({ pretrained_cfg: { crop_pct: null, crop_mode: null, interpolation: null } });
  expect(timmHints(folder)).toEqual({});
  write({ model_args: { num_heads: 3, img_size: 96 }, pretrained_cfg: { input_size: [3, 224, 224] } });
  expect(timmHints(folder)).toEqual({ heads: 3, imageSize: 96 });
});

test.each([
  ['{', 'config.json: invalid JSON'],
  ['[]', 'config.json: it: '],
  [{ num_attention_heads: 0 }, 'config.json: num_attention_heads: '],
  [{ num_attention_heads: '4' }, 'config.json: num_attention_heads: '],
  [{ hidden_act: 'gelu_new' }, 'the activation gelu_new is not supported'],
])('%o is an error', (config, message) => {
  write(config);
  expect(() => huggingFaceHints(folder)).toThrow(InputError);
  expect(() => huggingFaceHints(folder)).toThrow(message);
});

test('an invalid crop_pct of timm is an error', () => {
  write({ pretrained_cfg: { crop_pct: 1.2 } });
  expect(() => timmHints(folder)).toThrow(/config\.json: pretrained_cfg\.crop_pct: /);
});
