import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { elementCount, type TensorData } from '../src/base/tensor-data.js';
import { modelOfCheckpoint } from '../src/launch/start/model-of-checkpoint.js';
import { assemble } from '../src/method/assemble.js';
import { readModelFile } from '../src/models/model-file/model-file.js';
import { resnet } from '../src/models/resnet/resnet.js';
import { type Blueprint, buildStage } from '../src/models/staged.js';
import type { VitConfig } from '../src/models/vit/config.js';
import { fitStem } from '../src/models/vit/fit-weights.js';
import { vitGraph } from '../src/models/vit/onnx-graph.js';
import { type VitSection, vitConfigOf } from '../src/models/vit/section.js';
import { vit } from '../src/models/vit/vit.js';
import { weightsOf } from '../src/nn/weights.js';
import { writeOnnx } from '../src/onnx/write.js';
import { blueprintOf } from '../src/recipe/recipe-model.js';
import { backward, noGrad } from '../src/torch/autograd.js';
import { crossEntropy, fillNormal, zeros } from '../src/torch/ops.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { fromArray, fromData } from '../src/torch/tensor.js';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors/safetensors.js';
import { cli, temporaryFolder } from './cli-support.js';
import { maxDifference, numbers } from './support.js';

const folder = temporaryFolder();
// Models of timm and their logits, from test/fixtures/make-deit3.py.
const { tensors } = readSafetensors('test/fixtures/deit3.safetensors');
const named = (name: string) => tensors.get(name) as TensorData;

function timmFile(name: string): string {
  const path = join(folder, `${name}.safetensors`);
  const prefix = `${name}.model.`;
  const model = [...tensors].filter(([key]) => key.startsWith(prefix));
  writeSafetensors(path, new Map(model.map(([key, tensor]) => [key.slice(prefix.length), tensor])));
  return path;
}

async function known(path: string) {
  const file = await readModelFile(path);
  const settings = ['model.heads=4'];
  return { file, ...modelOfCheckpoint({ file, manifest: undefined }, { settings }) };
}

describe.each<[string, Partial<VitConfig>]>([
  ['deit3', { noEmbedClass: true, layerScale: 1e-5 }],
  ['layer_scale', { layerScale: 1e-5 }],
  ['no_embed_class', { noEmbedClass: true }],
  ['registers', { noEmbedClass: true, registers: 4 }],
  ['registers_mean', { noEmbedClass: true, registers: 3, classToken: false }],
  ['qk_norm', { qkNorm: true }],
  ['rms', { norm: 'rms' }],
  ['vit5', { noEmbedClass: true, registers: 4, qkNorm: true, norm: 'rms', layerScale: 1e-5 }],
])("timm's model with %s", (name, expected) => {
  test("computes timm's logits", async () => {
    const { file, recipe, depths } = await known(timmFile(name));
    const config = vitConfigOf(recipe.model as VitSection, 'test');
    const { noEmbedClass, layerScale, registers, qkNorm, norm, classToken } = config;
    expect({ noEmbedClass, layerScale, registers, qkNorm, norm, classToken }).toEqual({
      classToken: true,
      ...expected,
    });
    const generator = new Generator();
    const stages = file.stages.map((weights) => ({ weights, source: 'file' }));
    const model = assemble(blueprintOf(recipe), depths, stages, { device: 'cpu', dtype: 'F32', generator });
    const pass = { training: false, generator, key: [] };
    const logits = scope(() =>
      noGrad(() => Array.from(model.forward(fromData(named('images')), pass).toFloat32Array())),
    );
    expect(maxDifference(logits, numbers(named(`${name}.logits`)))).toBeLessThan(1e-5);
  });

  test('computes them as an ONNX model too', async () => {
    const { file, recipe } = await known(timmFile(name));
    const path = join(folder, `${name}.onnx`);
    const graph = vitGraph(vitConfigOf(recipe.model as VitSection, 'test'), file.stages[0], 'file');
    writeOnnx(path, { graph, producer: { name: 'test', version: '0' }, metadata: {} });
    const session = await InferenceSession.create(path, { logSeverityLevel: 3 });
    const images = new Tensor('float32', Float32Array.from(numbers(named('images'))), [2, 3, 16, 16]);
    const { logits } = await session.run({ pixels: images });
    const theirs = numbers(named(`${name}.logits`));
    expect(maxDifference(Array.from(logits.data as Float32Array), theirs)).toBeLessThan(1e-5);
  });

  test('is converted to ours and back to timm, tensor for tensor', async () => {
    const from = timmFile(name);
    const [ours, timm] = ['ours', 'timm'].map((to) => join(folder, `${name}.${to}.safetensors`));
    const heads = ['--set', 'model.heads=4'];
    expect(await cli(['convert', from, ours, '--to', 'deep-incubation', ...heads])).toMatchObject({
      code: 0,
    });
    expect(await cli(['convert', ours, timm, '--to', 'timm'])).toMatchObject({ code: 0 });
    const [a, b] = [await readModelFile(from), await readModelFile(timm)];
    expect(new Map([...b.stages[0]].sort())).toEqual(new Map([...a.stages[0]].sort()));
  });
});

test.each([
  ['deit3', 'official', 'the official layout has no place for LayerScale'],
  ['layer_scale', 'official', 'the official layout has no place for LayerScale'],
  ['no_embed_class', 'official', 'the official layout has no place for a position embedding without'],
  ['deit3', 'huggingface', 'a Hugging Face ViT has no place for LayerScale'],
  ['no_embed_class', 'huggingface', 'a Hugging Face ViT has no place for a position embedding without'],
  ['registers', 'official', 'the official layout has no place for registers'],
  ['qk_norm', 'official', 'the official layout has no place for norms of queries and keys'],
  ['rms', 'huggingface', 'a Hugging Face ViT has no place for RMSNorm'],
])('%s is not converted to %s, which does not support it', async (name, to, message) => {
  const ours = join(folder, `${name}-${to}.ours.safetensors`);
  const heads = ['--set', 'model.heads=4'];
  const made = await cli(['convert', timmFile(name), ours, '--to', 'deep-incubation', ...heads]);
  expect(made).toMatchObject({ code: 0 });
  const out = join(folder, `${name}.${to}`);
  expect(await cli(['convert', ours, out, '--to', to])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining(message),
  });
  expect(existsSync(out)).toBe(false);
});

test("DeiT's own names of LayerScale are read", async () => {
  const path = join(folder, 'gamma.safetensors');
  const timm = await readModelFile(timmFile('deit3'));
  const renamed = [...timm.stages[0]].map(([key, tensor]) => {
    return [key.replace(/ls([12])\.gamma$/, 'gamma_$1'), tensor] as const;
  });
  writeSafetensors(path, new Map(renamed));
  const { stages } = await readModelFile(path);
  expect(new Map([...stages[0]].sort())).toEqual(new Map([...timm.stages[0]].sort()));
});

const VIT: VitConfig = {
  imageSize: 16,
  patchSize: 4,
  channels: 3,
  classes: 5,
  width: 16,
  depth: 4,
  heads: 4,
  mlpRatio: 2,
  qkvBias: true,
  layerNormEps: 1e-6,
  classToken: true,
};

test("the gradients of registers, norms of queries and keys, and RMSNorm are timm's", async () => {
  const { file, recipe, depths } = await known(timmFile('vit5'));
  const generator = new Generator();
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const stages = file.stages.map((weights) => ({ weights, source: 'file' }));
  const model = assemble(blueprintOf(recipe), depths, stages, context);
  scope(() => {
    const logits = model.forward(fromData(named('images')), { training: true, generator, key: [] });
    const labels = fromArray(BigInt64Array.of(1n, 3n), [2]);
    backward(crossEntropy(logits, labels));
  });
  const parameters = [...model.stages[0].namedParameters()];
  expect(parameters.map(([name]) => name)).toContain('reg_token');
  for (const [name, parameter] of parameters) {
    const gradient = scope(() => Array.from(parameter.grad?.toFloat32Array() ?? []));
    expect({ name, apart: maxDifference(gradient, numbers(named(`vit5.grad.${name}`))) }).toMatchObject({
      name,
      apart: expect.toSatisfy((apart: number) => apart < 1e-5),
    });
  }
  model.free();
});

test.each<[string, Partial<VitConfig>]>([
  ['registers need', { registers: 2 }],
  ['cannot be combined', { registers: 2, noEmbedClass: true, distilled: true }],
  ['registers', { registers: 1.5, noEmbedClass: true }],
  ['registers', { registers: -1, noEmbedClass: true }],
])('registers that are not possible: %s', (message, more) => {
  expect(() => vit({ ...VIT, ...more })).toThrow(message);
});

test.each<[string, Partial<VitConfig>]>([
  ['DeiT-III', { layerScale: 1e-5, noEmbedClass: true }],
  ['registers', { noEmbedClass: true, registers: 3 }],
  ['RMSNorm and norms of queries and keys', { norm: 'rms', qkNorm: true }],
  ['all of them', { norm: 'rms', qkNorm: true, noEmbedClass: true, registers: 3, layerScale: 1 }],
])('the cost counts the parameters of %s', (_, more) => {
  const blueprint = vit({ ...VIT, ...more });
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator() } as const;
  const stage = buildStage(blueprint, { depths: [4] }, 0, context);
  const count = [...stage.parameters()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const { stem, head, ...cost } = blueprint.cost;
  expect(stem.parameters + 4 * cost.block({ from: 0, to: 1 }).parameters + head.parameters).toBe(count);
  stage.free();
});

test('the weights of DeiT-III begin as published, and fit larger images', () => {
  const blueprint = vit({ ...VIT, layerScale: 1e-5, noEmbedClass: true });
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator() } as const;
  const stage = buildStage(blueprint, { depths: [4] }, 0, context);
  const weights = weightsOf(stage);
  expect(numbers(weights.get('blocks.3.ls2.gamma') as TensorData)).toEqual(Array(16).fill(Math.fround(1e-5)));
  expect(weights.get('pos_embed')?.shape).toEqual([1, 16, 16]);
  const larger = fitStem(weights, { ...VIT, noEmbedClass: true, imageSize: 32 }, 'test');
  expect(larger.get('pos_embed')?.shape).toEqual([1, 64, 16]);
  stage.free();
});

const ZERO: [string, Blueprint, Blueprint][] = [
  ['a ViT', vit({ ...VIT, zeroInit: true }), vit({ ...VIT, zeroInit: true, depth: 1 })],
  [
    'a ResNet',
    resnet({
      imageSize: 16,
      channels: 3,
      classes: 5,
      blocks: [5],
      widths: [8],
      shortcut: 'A',
      zeroInit: true,
    }),
    resnet({
      imageSize: 16,
      channels: 3,
      classes: 5,
      blocks: [1],
      widths: [8],
      shortcut: 'A',
      zeroInit: true,
    }),
  ],
];

test.each(ZERO)('with zero initialisation the blocks of %s are the identity', (_, deep, shallow) => {
  const generator = new Generator().seed(['zero']);
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const model = assemble(deep, [deep.depth], null, context);
  const stem = weightsOf(model.stages[0]);
  const own = [...stem].filter(([name]) => !/^blocks\.[1-9]/.test(name));
  const one = assemble(shallow, [1], [{ weights: new Map(own), source: 'test' }], context);
  const images = zeros([3, 3, 16, 16]);
  fillNormal(images, 0, 1, generator);
  const [a, b] = [model, one].map((each) =>
    noGrad(() => each.forward(images, { training: false, generator, key: [] })).toFloat32Array(),
  );
  expect(maxDifference([...a], [...b])).toBeLessThan(1e-6);
  expect(Math.max(...a.map(Math.abs))).toBeGreaterThan(1e-3);
});
