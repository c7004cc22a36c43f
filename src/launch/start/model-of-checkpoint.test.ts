import { expect, test } from 'vitest';
import type { TensorData } from '../../base/tensor-data.js';
import type { ModelFile } from '../../models/model-file/model-file.js';
import { type VitSection, vitConfigOf } from '../../models/vit/section.js';
import { modelOfCheckpoint } from './model-of-checkpoint.js';

interface Shape extends Partial<Pick<ModelFile, 'hints' | 'metadata'>> {
  readonly width?: number;
  readonly channels?: number;
  readonly bias?: boolean;
}

/** Only shapes: an undivided ViT of one block. */
function fileOf({ width = 64, channels = 3, bias = true, hints = {}, metadata = {} }: Shape): ModelFile {
  const shapes: Record<string, number[]> = {
    cls_token: [1, 1, width],
    pos_embed: [1, 5, width],
    'patch_embed.proj.weight': [width, channels, 8, 8],
    'patch_embed.proj.bias': [width],
    ...Object.fromEntries(
      [
        ...['norm1.weight', 'norm1.bias', 'norm2.weight', 'norm2.bias', 'attn.proj.bias', 'mlp.fc2.bias'].map(
          (name) => [name, [width]],
        ),
        ['attn.qkv.weight', [3 * width, width]],
        ...(bias ? [['attn.qkv.bias', [3 * width]]] : []),
        ['attn.proj.weight', [width, width]],
        ['mlp.fc1.weight', [4 * width, width]],
        ['mlp.fc1.bias', [4 * width]],
        ['mlp.fc2.weight', [width, 4 * width]],
      ].map(([name, shape]) => [`blocks.0.${name}`, shape]),
    ),
    'norm.weight': [width],
    'norm.bias': [width],
    'head.weight': [10, width],
    'head.bias': [10],
  };
  const none = new Uint8Array(0);
  const stage = new Map(
    Object.entries(shapes).map(([name, shape]): [string, TensorData] => [
      name,
      { dtype: 'F32', shape, data: none },
    ]),
  );
  return { path: 'x.pth', format: 'torch', layout: 'timm', stages: [stage], metadata, hints, leftOut: [] };
}

const MEAN = "mean [0.485, 0.456, 0.406] (ImageNet's)";
const STD = "standard deviation [0.229, 0.224, 0.225] (ImageNet's)";

function known(shape: Shape, ...settings: string[]) {
  const { recipe, assumptions } = modelOfCheckpoint(
    { file: fileOf(shape), manifest: undefined },
    { settings },
  );
  const { heads, layerNormEps } = vitConfigOf(recipe.model as VitSection, recipe.name);
  return { heads, layerNormEps, assumptions, mean: recipe.data.mean };
}

test.each([
  [192, 3],
  [384, 6],
  [768, 12],
  [1024, 16],
])("width %i has the published ViT's %i heads", (width, heads) => {
  expect(known({ width })).toMatchObject({
    heads,
    layerNormEps: 1e-6,
    assumptions: [expect.stringContaining(`${heads} heads`), 'LayerNorm epsilon 1e-6', MEAN, STD],
  });
});

test('width 1280 without qkv bias is the official ViT-H, with its epsilon', () => {
  expect(known({ width: 1280, bias: false })).toMatchObject({ heads: 16, layerNormEps: 1e-5 });
  expect(known({ width: 1280 })).toMatchObject({ heads: 16, layerNormEps: 1e-6 });
});

test("timm's crop is used in evaluation; other differences of evaluation are reported, whatever is set", () => {
  const hints = { evalCrop: 0.9, otherResize: 'config.json says interpolation bilinear' };
  const of = (...settings: string[]) => {
    const from = { file: fileOf({ hints }), manifest: undefined };
    const { recipe, assumptions } = modelOfCheckpoint(from, { settings: ['model.heads=4', ...settings] });
    return [recipe.data.eval_crop, assumptions];
  };
  const source = '(its config.json says interpolation bilinear)';
  const unresized = [MEAN, STD, `images of 16 x 16, without resizing ${source}`];
  expect(of()).toEqual([0.9, unresized]);
  expect(of('data.eval_crop=1')).toEqual([1, unresized]);
  const resized = [MEAN, STD, `bicubic resize and a centre crop ${source}`];
  expect(of('model.image_size=56')).toEqual([0.9, resized]);
  expect(of('model.image_size=56', 'data.eval_crop=1')).toEqual([1, resized]);
});

test('settings take precedence, and are not assumptions', () => {
  const settings = ['model.heads=12', 'model.layer_norm_eps=1e-5', 'data.mean=[0.5, 0.5, 0.5]'];
  expect(known({ width: 192 }, ...settings)).toEqual({
    heads: 12,
    layerNormEps: 1e-5,
    assumptions: [STD],
    mean: [0.5, 0.5, 0.5],
  });
});

test('files next to the weights, and their header, take precedence over what the width suggests', () => {
  const hints = { heads: 8, layerNormEps: 1e-12, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  expect(known({ width: 192, hints })).toEqual({
    heads: 8,
    layerNormEps: 1e-12,
    assumptions: [],
    mean: [0.5, 0.5, 0.5],
  });
  expect(known({ hints }, 'model.heads=16', 'data.mean=[0, 0, 0]')).toMatchObject({
    heads: 16,
    mean: [0, 0, 0],
  });
  const metadata = { heads: '2', layer_norm_eps: '0.00001' };
  expect(known({ metadata })).toMatchObject({ heads: 2, layerNormEps: 1e-5, assumptions: [MEAN, STD] });
  expect(known({ metadata, hints: { heads: 8 } })).toMatchObject({ heads: 8, layerNormEps: 1e-5 });
});

test('only values that are stated nowhere are assumed', () => {
  expect(known({ hints: { heads: 4 } })).toMatchObject({
    heads: 4,
    assumptions: ['LayerNorm epsilon 1e-6', MEAN, STD],
  });
  const metadata = { heads: 'many', layer_norm_eps: '-1', format: 'pt' };
  expect(known({ width: 384, metadata })).toMatchObject({
    heads: 6,
    assumptions: ['6 heads (vit-small has the same width)', 'LayerNorm epsilon 1e-6', MEAN, STD],
  });
});

test('unknown values are requested in the error', () => {
  expect(() => known({})).toThrow('the number of attention heads is unknown');
  expect(() => known({ channels: 1 }, 'model.heads=4')).toThrow(
    'do not contain the mean and standard deviation of their 1-channel images',
  );
  expect(known({ channels: 1 }, 'model.heads=4', 'data.mean=[0.3]', 'data.std=[0.3]')).toMatchObject({
    mean: [0.3],
  });
  expect(() => known({}, 'model.heads=5')).toThrow('model.heads 5 does not divide model.width 64');
  expect(() => known({}, 'model.heads=4', 'model.hats=4')).toThrow('unknown key model.hats');
});

test.each([
  [
    { exif: 'apply', grey16: 'clip' },
    { exif: 'apply', grey16: 'clip' },
  ],
  [
    { exif: 'ignore', grey16: 'scale' },
    { exif: 'ignore', grey16: 'scale' },
  ],
  // Of a version that scaled 16-bit grey and had no keys for either.
  [{}, { exif: 'ignore', grey16: 'scale' }],
] as const)('images are decoded as those of the run: %j', (settingsOfRun, expected) => {
  const model = { image_size: 16, patch_size: 8, classes: 10, width: 64, heads: 2 };
  const manifest = {
    phase: 'FT',
    step: 1,
    seed: 0,
    depths: [1],
    model,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    ...settingsOfRun,
  };
  const checkpoint = { file: fileOf({}), manifest };
  expect(modelOfCheckpoint(checkpoint, { settings: [] }).recipe.data).toMatchObject(expected);
  const settings = ['data.exif=apply', 'data.grey16=clip'];
  expect(modelOfCheckpoint(checkpoint, { settings }).recipe.data).toMatchObject({
    exif: 'apply',
    grey16: 'clip',
  });
});
