import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, describe, expect, test } from 'vitest';
import {
  GOLDEN_VIT,
  goldenStages,
  goldenTensors,
  IMAGENET_MEAN,
  IMAGENET_STD,
  maxDifference,
  numbers,
} from '../../../test/support.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { TensorData } from '../../base/tensor-data.js';
import { assemble } from '../../method/assemble.js';
import type { GraphOptions } from '../../onnx/graph.js';
import { writeOnnx } from '../../onnx/write.js';
import { noGrad } from '../../torch/autograd.js';
import { to } from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import { fromData } from '../../torch/tensor.js';
import { joinStages } from '../model-file/model-file-write.js';
import type { VitConfig } from './config.js';
import { vitGraph } from './onnx-graph.js';
import { vit } from './vit.js';

const folder = mkdtempSync(join(tmpdir(), 'onnx-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'vit.onnx');

type Weights = ReadonlyMap<string, TensorData>;

const TINY: VitConfig = {
  imageSize: 12,
  patchSize: 4,
  channels: 3,
  classes: 5,
  width: 24,
  depth: 3,
  heads: 3,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
};

function floats(shape: readonly number[], key: string, scale = 1): TensorData {
  const stream = randomStream([key]);
  const length = shape.reduce((a, b) => a * b, 1);
  const data = Float32Array.from({ length }, () => scale * (2 * stream.uniform() - 1));
  return { dtype: 'F32', shape, data: new Uint8Array(data.buffer) };
}

/** Distinct numbers for every weight, including biases and scales, so that a misplaced one is detected. */
function randomWeights(config: VitConfig): Weights {
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator() } as const;
  const model = assemble(vit(config), [config.depth], [null], context);
  return new Map(
    Array.from(model.stages[0].namedParameters(), ([name, { shape }]) => [name, floats(shape, name, 0.5)]),
  );
}

function eagerLogits(config: VitConfig, weights: Weights, images: TensorData): number[] {
  const generator = new Generator();
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const model = assemble(vit(config), [config.depth], [{ weights, source: 'test' }], context);
  const pass = { training: false, generator, key: [] };
  return scope(() => noGrad(() => [...model.forward(fromData(images), pass).toFloat32Array()]));
}

function written(config: VitConfig, weights: Weights, options?: GraphOptions, external = false) {
  const graph = vitGraph(config, weights, 'test', options);
  const producer = { name: 'test', version: '1' };
  return writeOnnx(path, { graph, producer, metadata: {} }, { external });
}

async function onnxLogits({ shape, data }: TensorData): Promise<{ dims: readonly number[]; data: number[] }> {
  const session = await InferenceSession.create(path, {
    intraOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  try {
    const pixels = new Tensor('float32', new Float32Array(data.slice().buffer), [...shape]);
    const { logits } = await session.run({ pixels });
    return { dims: logits.dims, data: [...(logits.data as Float32Array)] };
  } finally {
    await session.release();
  }
}

function images({ channels, imageSize }: VitConfig, batch: number): TensorData {
  return floats([batch, channels, imageSize, imageSize], `images ${batch}`, 2);
}

describe('onnxruntime gives the logits of our model', () => {
  test.each<[string, Partial<VitConfig>]>([
    ['class token', {}],
    ['distilled', { distilled: true }],
    ['mean of the patches', { classToken: false }],
    ['no bias of queries, keys and values; another epsilon', { qkvBias: false, layerNormEps: 1e-2 }],
    ['grey, one block, one head', { channels: 1, depth: 1, heads: 1 }],
    ['a patch of the whole image', { patchSize: 12 }],
  ])('%s', async (_, changes) => {
    const config = { ...TINY, ...changes };
    const weights = randomWeights(config);
    written(config, weights);
    for (const batch of [1, 5]) {
      const pixels = images(config, batch);
      const theirs = await onnxLogits(pixels);
      expect(theirs.dims).toEqual([batch, config.classes]);
      const ours = eagerLogits(config, weights, pixels);
      expect(Math.max(...ours.map(Math.abs))).toBeGreaterThan(0.1);
      expect(maxDifference(theirs.data, ours)).toBeLessThan(1e-5);
    }
  });

  test('for the golden fine-tuned model, the official logits', async () => {
    const stages = (await goldenStages('ckpt/FT.pth')).map(({ weights }) => weights);
    written(GOLDEN_VIT, joinStages(stages));
    const batch = goldenTensors('b_batch16.safetensors');
    const { data } = await onnxLogits(batch.get('images') as TensorData);
    expect(maxDifference(data, numbers(batch.get('logits.FT') as TensorData))).toBeLessThan(1e-5);
  });

  test.each(['F16', 'BF16', 'F64'] as const)('weights of %s are written in float32', async (dtype) => {
    const weights = new Map(
      [...randomWeights(TINY)].map(([name, data]) => [
        name,
        scope(() => to(fromData(data), { dtype }).toData()),
      ]),
    );
    written(TINY, weights);
    const pixels = images(TINY, 2);
    const ours = eagerLogits(TINY, weights, pixels);
    expect(maxDifference((await onnxLogits(pixels)).data, ours)).toBeLessThan(1e-5);
  });

  test('normalising inside the graph', async () => {
    const weights = randomWeights(TINY);
    const normalisation = { mean: IMAGENET_MEAN, std: IMAGENET_STD };
    written(TINY, weights, { normalisation });
    const plane = TINY.imageSize ** 2;
    const raw = Float32Array.from({ length: 2 * 3 * plane }, (_, i) => ((i * 7919) % 256) / 255);
    const channel = (i: number) => Math.trunc(i / plane) % 3;
    const normal = raw.map((x, i) => (x - IMAGENET_MEAN[channel(i)]) / IMAGENET_STD[channel(i)]);
    const tensor = (data: Float32Array): TensorData => ({
      dtype: 'F32',
      shape: [2, 3, TINY.imageSize, TINY.imageSize],
      data: new Uint8Array(data.buffer),
    });
    const ours = eagerLogits(TINY, weights, tensor(normal));
    expect(maxDifference((await onnxLogits(tensor(raw))).data, ours)).toBeLessThan(1e-5);
  });
});

describe('weights in a separate file', () => {
  test('give the same logits, and are removed when they are no longer needed', async () => {
    const weights = randomWeights(TINY);
    const pixels = images(TINY, 3);
    const files = written(TINY, weights, {}, true);
    expect(files.data).toBe(`${path}.data`);
    expect(files.bytes).toBe(statSync(path).size + statSync(`${path}.data`).size);
    expect(statSync(path).size).toBeLessThan(statSync(`${path}.data`).size);
    const outside = await onnxLogits(pixels);
    expect(maxDifference(outside.data, eagerLogits(TINY, weights, pixels))).toBeLessThan(1e-5);

    expect(written(TINY, weights).data).toBeUndefined();
    expect(readdirSync(folder)).toEqual(['vit.onnx']);
    expect((await onnxLogits(pixels)).data).toEqual(outside.data);
  });

  test('are read one at a time', () => {
    const { graph, producer } = {
      graph: vitGraph(TINY, randomWeights(TINY), 'test'),
      producer: { name: '', version: '' },
    };
    const loaded: string[] = [];
    const watched = graph.initializers.map((each) => ({
      ...each,
      load: () => {
        loaded.push(each.name);
        return each.load();
      },
    }));
    writeOnnx(
      path,
      { graph: { ...graph, initializers: watched }, producer, metadata: {} },
      { external: true },
    );
    expect(loaded).toEqual(graph.initializers.map(({ name }) => name));
  });
});

describe('models that cannot be written', () => {
  const changed = (change: (weights: Map<string, TensorData>) => void) => {
    const weights = new Map(randomWeights(TINY));
    change(weights);
    return () => vitGraph(TINY, weights, 'some.pth');
  };
  test.each<[string, (weights: Map<string, TensorData>) => unknown, string]>([
    ['a weight that is missing', (w) => w.delete('norm.bias'), 'some.pth has no norm.bias'],
    ['one left over', (w) => w.set('extra', floats([1], '')), 'some.pth contains extra, which'],
    [
      'one of another shape',
      (w) => w.set('head.weight', floats([4, 24], '')),
      'some.pth: head.weight has shape [4, 24], but the model needs [5, 24]',
    ],
  ])('%s', (_, change, message) => {
    expect(changed(change)).toThrow(InputError);
    expect(changed(change)).toThrow(message);
  });

  test('an invalid path; nothing is left behind', () => {
    writeFileSync(join(folder, 'file'), '');
    const graph = vitGraph(TINY, randomWeights(TINY), 'test');
    const model = { graph, producer: { name: '', version: '' }, metadata: {} };
    for (const external of [false, true]) {
      expect(() => writeOnnx(join(folder, 'file/x.onnx'), model, { external })).toThrow(InputError);
    }
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});
