import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { goldenBlueprint, goldenStages, maxDifference, numbers } from '../../../test/support.js';
import { InputError } from '../../base/errors.js';
import { elementCount, type TensorData } from '../../base/tensor-data.js';
import { loadWeights } from '../../nn/weights.js';
import { backward, noGrad } from '../../torch/autograd.js';
import { add, bernoulli, crossEntropy, mul, ones, select, to, unbind } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { buildStage } from '../staged.js';
import { tokenCount, type VitConfig } from './config.js';
import { VIT_PRESETS } from './section.js';
import { vit } from './vit.js';

const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed(['vit']) } as const;

function published(preset: 'vit-base' | 'vit-large' | 'vit-huge', imageSize: number): VitConfig {
  const { width, depth, heads, patch_size, qkv_bias, layer_norm_eps } = VIT_PRESETS[preset];
  return {
    imageSize,
    patchSize: patch_size,
    channels: 3,
    classes: 1000,
    width,
    depth,
    heads,
    mlpRatio: 4,
    qkvBias: qkv_bias,
    layerNormEps: layer_norm_eps,
    classToken: true,
  };
}

const TINY: VitConfig = {
  imageSize: 12,
  patchSize: 4,
  channels: 3,
  classes: 7,
  width: 8,
  depth: 4,
  heads: 2,
  mlpRatio: 4,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
};

const totals = (config: VitConfig, what: 'macs' | 'parameters') => {
  const { stem, block, head } = vit(config).cost;
  return stem[what] + config.depth * block({ from: 0, to: 1 })[what] + head[what];
};

describe('cost', () => {
  test.each([
    ['vit-base', 224, '17.56', 86_567_656],
    ['vit-base', 384, '55.48', 86_859_496],
    ['vit-large', 224, '61.55', 304_326_632],
    ['vit-large', 384, '191.07', 304_715_752],
    ['vit-huge', 224, '167.30', 632_045_800 - 32 * 3 * 1280],
    ['vit-huge', 392, '544.95', 632_721_640 - 32 * 3 * 1280],
  ] as const)('%s at %d px: %s G multiply-accumulates', (preset, size, giga, parameters) => {
    const config = published(preset, size);
    expect((totals(config, 'macs') / 1e9).toFixed(2)).toBe(giga);
    expect(totals(config, 'parameters')).toBe(parameters);
  });

  test.each<Partial<VitConfig>>([
    {},
    { classToken: false },
    { distilled: true },
    { qkvBias: false },
    { classToken: false, qkvBias: false, mlpRatio: 2.5, channels: 1, heads: 4 },
    { patchSize: 2, classes: 1, width: 6, heads: 1 },
  ])('of the modules as they are: %o', (change) => {
    const config = { ...TINY, ...change };
    const stage = buildStage(vit(config), { depths: [config.depth] }, 0, context);
    const shapes = Array.from(stage.namedParameters(), ([name, { shape }]) => [name, shape] as const);
    expect(totals(config, 'parameters')).toBe(
      shapes.reduce((sum, [, shape]) => sum + elementCount(shape), 0),
    );

    // Each matrix is applied to every token (the patches' to every patch, a head's to one); attention adds Q K^T and P V.
    const tokens = tokenCount(config);
    const times = (name: string) => {
      if (name.startsWith('patch_embed')) return (config.imageSize / config.patchSize) ** 2;
      return /^head(_dist)?\.weight$/.test(name) ? 1 : tokens;
    };
    const matrices = shapes.filter(
      ([name, shape]) => shape.length > 1 && !/^(pos_embed|cls_token|dist_token)$/.test(name),
    );
    const products = matrices.reduce((sum, [name, shape]) => sum + times(name) * elementCount(shape), 0);
    expect(totals(config, 'macs')).toBe(products + config.depth * 2 * tokens * tokens * config.width);
    stage.free();
  });

  test('tokens', () => {
    expect(tokenCount(published('vit-base', 224))).toBe(197);
    expect(tokenCount(published('vit-huge', 392))).toBe(785);
    expect(tokenCount({ ...TINY, classToken: false })).toBe(9);
    expect(tokenCount({ ...published('vit-base', 224), distilled: true })).toBe(198);
  });
});

test.each([
  ['PT.pth', [1, 1, 1, 1]],
  ['MT_1.pth', [1, 2, 1, 1]],
  ['FT.pth', [2, 2, 2, 2]],
])('names, order and shapes are those of the official %s', async (file, depths) => {
  const official = await goldenStages(`ckpt/${file}`);
  for (const [i, { weights }] of official.entries()) {
    const stage = buildStage(goldenBlueprint, { depths, dropPath: 0.1 }, i, context);
    const ours = Array.from(stage.namedParameters(), ([name, { shape }]) => [name, [...shape]]);
    expect(ours).toEqual(Array.from(weights, ([name, { shape }]) => [name, [...shape]]));
  }
});

test('initialisation', () => {
  const config = { ...TINY, width: 64, classes: 50, imageSize: 32, distilled: true };
  const stage = buildStage(vit(config), { depths: [4] }, 0, context);
  const bound = 1 / Math.sqrt(3 * 4 * 4);
  for (const [name, tensor] of stage.namedParameters()) {
    const values = tensor.toFloat32Array();
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
    const largest = values.reduce((max, v) => Math.max(max, Math.abs(v)), 0);
    // Four standard errors of a deviation of as many numbers.
    const tolerance = 4 / Math.sqrt(2 * values.length);
    if (name.startsWith('patch_embed')) {
      expect(largest, name).toBeLessThanOrEqual(Math.fround(bound));
      expect(Math.abs(deviation / (bound / Math.sqrt(3)) - 1), name).toBeLessThan(tolerance);
    } else if (/norm\d?\.weight$/.test(name)) expect(new Set(values), name).toEqual(new Set([1]));
    else if (name.endsWith('.bias')) expect(new Set(values), name).toEqual(new Set([0]));
    else expect(Math.abs(deviation / 0.02 - 1), name).toBeLessThan(tolerance);
  }
});

describe('forward', () => {
  const evaluation = { training: false, generator: new Generator(), key: [] };

  test('patches are read row by row, channel by channel, as by a convolution', () => {
    const config = {
      ...TINY,
      imageSize: 4,
      patchSize: 2,
      channels: 2,
      classToken: false,
      width: 3,
      heads: 1,
    };
    const stem = vit(config).makeStem(context);
    const [pos, weight, bias] = ['pos_embed', 'patch_embed.proj.weight', 'patch_embed.proj.bias'].map(
      (name) => new Map(stem.namedParameters()).get(name) as Tensor,
    );
    const [p, w, b] = [pos, weight, bias].map((tensor) => tensor.toFloat32Array());
    const pixels = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i));
    const ours = scope(() => stem.forward(fromArray(pixels, [1, 2, 4, 4]), evaluation).toFloat32Array());
    for (let patch = 0; patch < 4; patch++)
      for (let d = 0; d < 3; d++) {
        let sum = b[d] + p[patch * 3 + d];
        for (let c = 0; c < 2; c++)
          for (let y = 0; y < 2; y++)
            for (let x = 0; x < 2; x++) {
              const pixel = pixels[c * 16 + (Math.floor(patch / 2) * 2 + y) * 4 + (patch % 2) * 2 + x];
              sum += w[((d * 2 + c) * 2 + y) * 2 + x] * pixel;
            }
        expect(ours[patch * 3 + d]).toBeCloseTo(sum, 5);
      }
  });

  test('without a class token the head reads the mean of the normalised tokens', () => {
    const config = { ...TINY, classToken: false };
    const head = vit(config).makeHead(context);
    const normal = (seed: number) => bernoulli([9, 8], 0.5, new Generator().seed([seed]));
    const [first, second] = [normal(1), normal(2)];
    const logits = (tokens: Tensor) =>
      scope(() => Array.from(head.forward(tokens, evaluation).toFloat32Array()));
    const shuffled = (tokens: Tensor) => {
      const values = tokens.toFloat32Array();
      return fromArray(
        Float32Array.from({ length: 72 }, (_, i) => values[(i + 8) % 72]),
        [1, 9, 8],
      );
    };
    const [a, b] = [first, second].map((tokens) => logits(shuffled(tokens)));
    const unshuffled = logits(fromArray(first.toFloat32Array(), [1, 9, 8]));
    expect(a).toHaveLength(7);
    expect(a).not.toEqual(b);
    for (const [i, value] of unshuffled.entries()) expect(value).toBeCloseTo(a[i], 5);
  });

  test('with a class token the head reads only that token', () => {
    const head = vit(TINY).makeHead(context);
    const values = Float32Array.from({ length: 80 }, (_, i) => Math.cos(i));
    const changed = values.map((v, i) => (i < 8 ? v : -3 * v));
    const logits = (v: Float32Array) =>
      scope(() => head.forward(fromArray(v, [1, 10, 8]), evaluation).toFloat32Array());
    expect(logits(changed)).toEqual(logits(values));
    expect(logits(values.map((v) => v ** 3))).not.toEqual(logits(values));
  });

  test('drops attention and MLP branches of whole samples independently, only in training', () => {
    const rate = 0.5;
    const block = vit(TINY).makeBlock(rate, context, { from: 0, to: 1, isLast: false });
    const batch = 400;
    const x = mul(
      ones([batch, 10, 8]),
      fromArray(
        Float32Array.from({ length: 8 }, (_, i) => Math.sin(i)),
        [8],
      ),
    );
    const run = (training: boolean) =>
      noGrad(() =>
        scope(() => {
          const y = block.forward(x, { training, generator: evaluation.generator, key: ['block'] });
          const token = to(select(y, 1, 0), { dtype: 'F64' }).toFloat64Array();
          return Array.from({ length: batch }, (_, i) => Array.from(token.subarray(8 * i, 8 * i + 8)).join());
        }),
      );
    expect(new Set(run(false)).size).toBe(1);
    // All samples are equal, so the output shows which branches were kept: none, one of them, or both.
    const counts = new Map<string, number>();
    for (const row of run(true)) counts.set(row, (counts.get(row) ?? 0) + 1);
    expect(counts.size).toBe(4);
    for (const count of counts.values())
      expect(Math.abs(count - batch / 4)).toBeLessThan(4 * Math.sqrt(batch * 0.25 * 0.75));
    expect(run(true)).toEqual(run(true));
  });
});

interface DistilledVit {
  readonly images: number[];
  readonly labels: number[];
  readonly decisions: number[];
  /** [3, 2, 3] */
  readonly training: number[];
  /** [3, 3] */
  readonly evaluation: number[];
  readonly parameters: Record<string, { shape: number[]; values: number[]; gradient: number[] }>;
}

describe('distilled', () => {
  // DeiT's own forward pass in PyTorch: test/fixtures/make-distilled-vit.py.
  const made = JSON.parse(
    readFileSync(new URL('../../../test/fixtures/distilled-vit.json', import.meta.url), 'utf8'),
  ) as DistilledVit;
  const config: VitConfig = {
    imageSize: 8,
    patchSize: 4,
    channels: 1,
    classes: 3,
    width: 8,
    depth: 2,
    heads: 2,
    mlpRatio: 2,
    qkvBias: true,
    layerNormEps: 1e-6,
    classToken: true,
    distilled: true,
  };
  const generator = new Generator();
  const stage = buildStage(vit(config), { depths: [2] }, 0, { device: 'cpu', dtype: 'F64', generator });
  const weights = Object.entries(made.parameters).map(([name, { shape, values }]): [string, TensorData] => [
    name,
    { dtype: 'F64', shape, data: new Uint8Array(Float64Array.from(values).buffer) },
  ]);
  loadWeights(stage, new Map(weights), 'distilled-vit.json');
  const images = fromArray(Float64Array.from(made.images), [3, 1, 8, 8]);
  const int64 = (values: number[]) => fromArray(BigInt64Array.from(values, BigInt), [values.length]);

  test("has DeiT's parameters", () => {
    expect(Array.from(stage.namedParameters(), ([name]) => name)).toEqual(Object.keys(made.parameters));
  });

  test('in training it returns both heads, with their gradients', () => {
    scope(() => {
      const logits = stage.forward(images, { training: true, generator, key: [] });
      expect(logits.shape).toEqual([3, 2, 3]);
      expect(maxDifference(numbers(logits.toData()), made.training)).toBeLessThan(1e-12);
      const [byClass, byTeacher] = unbind(logits, 1);
      const own = mul(crossEntropy(byClass, int64(made.labels)), 0.25);
      backward(add(own, mul(crossEntropy(byTeacher, int64(made.decisions)), 0.75)));
    });
    for (const [name, { grad }] of stage.namedParameters()) {
      const ours = numbers((grad as Tensor).toData());
      expect(maxDifference(ours, made.parameters[name].gradient), name).toBeLessThan(1e-12);
    }
  });

  test('in evaluation, their mean', () => {
    scope(() => {
      const logits = stage.forward(images, { training: false, generator, key: [] });
      expect(logits.shape).toEqual([3, 3]);
      expect(maxDifference(numbers(logits.toData()), made.evaluation)).toBeLessThan(1e-12);
    });
  });

  test('its token and head are part of the stages, and its token has no weight decay', () => {
    const names = [0, 1].map((index) =>
      Array.from(
        buildStage(vit(config), { depths: [1, 1] }, index, context).namedParameters(),
        ([name]) => name,
      ),
    );
    expect(names[0].slice(0, 3)).toEqual(['pos_embed', 'cls_token', 'dist_token']);
    expect(names[1].slice(-2)).toEqual(['head_dist.weight', 'head_dist.bias']);
    expect(vit(config).undecayed).toContain('dist_token');
  });

  test('without a class token it is refused', () => {
    expect(() => vit({ ...config, classToken: false })).toThrow(InputError);
  });
});

test.each([
  [{ heads: 3 }, 'heads 3 does not divide width'],
  [{ patchSize: 5 }, 'patchSize 5 does not divide imageSize'],
  [{ width: 0 }, 'width is 0'],
  [{ depth: 1.5 }, 'depth is 1.5'],
  [{ classes: Number.NaN }, 'classes is NaN'],
])('%o is refused', (change, message) => {
  const call = () => vit({ ...TINY, ...change });
  expect(call).toThrow(InputError);
  expect(call).toThrow(message);
});
