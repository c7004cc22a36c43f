import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { loadModel } from '../src/launch/start/loaded-model.js';
import { modelOfCheckpoint } from '../src/launch/start/model-of-checkpoint.js';
import { assemble } from '../src/method/assemble.js';
import { divide } from '../src/method/divide.js';
import { readModelFile } from '../src/models/model-file/model-file.js';
import { resnet } from '../src/models/resnet/resnet.js';
import { Layer } from '../src/models/staged.js';
import { Linear } from '../src/nn/layers.js';
import { noGrad } from '../src/torch/autograd.js';
import { globalAveragePool2d, ones } from '../src/torch/ops.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { fromArray, fromData, type Tensor } from '../src/torch/tensor.js';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors/safetensors.js';
import { temporaryFolder } from './cli-support.js';
import { maxDifference, numbers } from './support.js';

const folder = temporaryFolder();
// Made by test/fixtures/make-features.py with timm.
const expected = readSafetensors('test/fixtures/features.safetensors').tensors;
const pooled = readSafetensors('test/fixtures/pooled.safetensors').tensors;
const interop = readSafetensors('test/fixtures/interop/logits.safetensors').tensors;
const pass = () => ({ training: false, generator: new Generator(), key: [] });

function pooledModel(name: string, { headless = false } = {}): string {
  const path = join(folder, `${name}${headless}.safetensors`);
  mkdirSync(folder, { recursive: true });
  const prefix = `${name}.model.`;
  const own = [...pooled].filter(([key]) => key.startsWith(prefix));
  const named = own.map(([key, tensor]): [string, TensorData] => [key.slice(prefix.length), tensor]);
  writeSafetensors(path, new Map(named.filter(([key]) => !headless || !key.startsWith('head.'))));
  return path;
}

async function featuresOf(path: string, images: TensorData, settings: readonly string[] = []) {
  const file = await readModelFile(path);
  const known = modelOfCheckpoint(
    { file, manifest: undefined },
    { settings: ['model.heads=4', 'run.device=cpu', ...settings], allowsHeadless: true },
  );
  const { model } = loadModel({ name: path, file, manifest: undefined }, known, () => {});
  return scope(() =>
    noGrad(() => {
      const features = model.features(fromData(images), pass());
      const logits = model.forward(fromData(images), pass());
      return { features: [...features.toFloat32Array()], shape: features.shape, classes: logits.shape[1] };
    }),
  );
}

describe("features equal timm's", () => {
  test.each([
    ['timm', [] as string[]],
    ['timm-distilled', []],
  ])('%s', async (name, settings) => {
    const images = interop.get('images') as TensorData;
    const { features, shape } = await featuresOf(
      `test/fixtures/interop/${name}.safetensors`,
      images,
      settings,
    );
    expect(shape).toEqual([2, 16]);
    expect(maxDifference(features, numbers(expected.get(name) as TensorData))).toBeLessThan(1e-5);
  });

  test.each([
    ['fc_norm', []],
    ['norm', ['model.pool=mean', 'model.fc_norm=false']],
    ['token', []],
  ] as [string, string[]][])('%s', async (name, settings) => {
    const { features } = await featuresOf(pooledModel(name), pooled.get('images') as TensorData, settings);
    expect(maxDifference(features, numbers(expected.get(name) as TensorData))).toBeLessThan(1e-5);
  });

  test('a backbone without a classifier', async () => {
    const path = pooledModel('token', { headless: true });
    const { features, classes } = await featuresOf(path, pooled.get('images') as TensorData);
    expect(classes).toBe(1);
    expect(maxDifference(features, numbers(expected.get('backbone') as TensorData))).toBeLessThan(1e-5);
    const file = await readModelFile(path);
    expect(() => modelOfCheckpoint({ file, manifest: undefined }, { settings: ['model.heads=4'] })).toThrow(
      'has no head',
    );
  });
});

const context = () =>
  ({ device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) }) as const;
const images = () =>
  fromArray(
    Float32Array.from({ length: 2 * 3 * 64 }, (_, i) => Math.sin(i)),
    [2, 3, 8, 8],
  );
const tiny = resnet({ imageSize: 8, channels: 3, classes: 3, blocks: [1, 1], widths: [4, 8], shortcut: 'A' });

test('ResNet: the features are the input of its classifier', () => {
  scope(() => {
    const model = assemble(tiny, divide(2, { modules: 2 }), null, context());
    const features = model.features(images(), pass());
    expect(features.shape).toEqual([2, 8]);
    const { fc } = model.stages[1].head as unknown as { fc: Linear };
    const logits = fc.forward(features).toFloat32Array();
    expect(logits).toEqual(model.forward(images(), pass()).toFloat32Array());
  });
});

class OwnHead extends Layer {
  readonly fc: Linear;
  constructor(fc: Linear) {
    super();
    this.fc = fc;
  }
  forward(x: Tensor): Tensor {
    return this.fc.forward(globalAveragePool2d(x));
  }
}

class OwnHeadWithFeatures extends OwnHead {
  override features(x: Tensor): Tensor {
    return globalAveragePool2d(x);
  }
}

test('a custom head needs the method `features`', () => {
  const modelWith = (Head: typeof OwnHead) =>
    assemble({ ...tiny, makeHead: (each) => new Head(new Linear(8, 3, each)) }, [1, 1], null, context());
  scope(() => {
    expect(modelWith(OwnHeadWithFeatures).features(images(), pass()).shape).toEqual([2, 8]);
    expect(() => modelWith(OwnHead).features(ones([1, 3, 8, 8]), pass())).toThrow(
      'the head of the model does not give its features',
    );
  });
});
