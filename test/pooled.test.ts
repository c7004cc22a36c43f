import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { elementCount, type TensorData } from '../src/base/tensor-data.js';
import { modelOfCheckpoint } from '../src/launch/start/model-of-checkpoint.js';
import { assemble } from '../src/method/assemble.js';
import { readModelFile } from '../src/models/model-file/model-file.js';
import { buildStage } from '../src/models/staged.js';
import type { VitConfig } from '../src/models/vit/config.js';
import { vitGraph } from '../src/models/vit/onnx-graph.js';
import { type VitSection, vitConfigOf } from '../src/models/vit/section.js';
import { vit } from '../src/models/vit/vit.js';
import { writeOnnx } from '../src/onnx/write.js';
import { blueprintOf } from '../src/recipe/recipe-model.js';
import { noGrad } from '../src/torch/autograd.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { fromData } from '../src/torch/tensor.js';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors/safetensors.js';
import { cli, temporaryFolder, writeImages } from './cli-support.js';
import { maxDifference, numbers } from './support.js';

const folder = temporaryFolder();
// Models of timm and their logits, from test/fixtures/make-pooled.py.
const { tensors } = readSafetensors('test/fixtures/pooled.safetensors');
const named = (name: string) => tensors.get(name) as TensorData;

/** A folder with a model as timm saves it to the hub. */
function timmFolder(name: string, config: object = {}): string {
  const path = join(folder, `${name}-${Object.keys(config).join('')}`);
  mkdirSync(path, { recursive: true });
  const prefix = `${name}.model.`;
  const model = [...tensors].filter(([key]) => key.startsWith(prefix));
  writeSafetensors(
    join(path, 'model.safetensors'),
    new Map(model.map(([key, tensor]) => [key.slice(prefix.length), tensor])),
  );
  const images = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] };
  writeFileSync(join(path, 'config.json'), JSON.stringify({ pretrained_cfg: images, ...config }));
  return path;
}

async function known(path: string) {
  const file = await readModelFile(path);
  const { recipe, depths } = modelOfCheckpoint(
    { file, manifest: undefined },
    { settings: ['model.heads=4'] },
  );
  return { file, recipe, depths };
}

function logitsOf({ file, recipe, depths }: Awaited<ReturnType<typeof known>>): number[] {
  const generator = new Generator();
  const stages = file.stages.map((weights) => ({ weights, source: 'file' }));
  const model = assemble(blueprintOf(recipe), depths, stages, { device: 'cpu', dtype: 'F32', generator });
  const pass = { training: false, generator, key: [] };
  return scope(() =>
    noGrad(() => Array.from(model.forward(fromData(named('images')), pass).toFloat32Array())),
  );
}

describe.each([
  ['fc_norm', {}, { pool: 'mean', fcNorm: true, classToken: true }],
  ['norm', { global_pool: 'avg' }, { pool: 'mean', classToken: true }],
  ['without_token', { global_pool: 'avg' }, { pool: 'mean', fcNorm: true, classToken: false }],
  ['without_token', {}, { pool: 'mean', fcNorm: true, classToken: false }],
  ['token', { global_pool: 'token' }, { classToken: true }],
] as const)("timm's model with %s, config.json %j", (name, config, expected) => {
  test("computes timm's logits", async () => {
    const model = await known(timmFolder(name, config));
    expect(vitConfigOf(model.recipe.model as VitSection, 'test')).toMatchObject(expected);
    expect(maxDifference(logitsOf(model), numbers(named(`${name}.logits`)))).toBeLessThan(1e-5);
  });

  test('computes them as an ONNX model too', async () => {
    const { file, recipe } = await known(timmFolder(name, config));
    const path = join(folder, `${name}.onnx`);
    const graph = vitGraph(vitConfigOf(recipe.model as VitSection, 'test'), file.stages[0], 'file');
    writeOnnx(path, { graph, producer: { name: 'test', version: '0' }, metadata: {} });
    const session = await InferenceSession.create(path, { logSeverityLevel: 3 });
    const images = new Tensor('float32', Float32Array.from(numbers(named('images'))), [2, 3, 16, 16]);
    const { logits } = await session.run({ pixels: images });
    const theirs = numbers(named(`${name}.logits`));
    expect(maxDifference(Array.from(logits.data as Float32Array), theirs)).toBeLessThan(1e-5);
  });
});

test('the cost counts the parameters of a mean-pooled model, and all tokens of its last block', () => {
  const config: VitConfig = {
    imageSize: 16,
    patchSize: 4,
    channels: 3,
    classes: 5,
    width: 16,
    depth: 2,
    heads: 4,
    mlpRatio: 2,
    qkvBias: true,
    layerNormEps: 1e-6,
    classToken: true,
    pool: 'mean',
    fcNorm: true,
  };
  const { stem, head, ...cost } = vit(config).cost;
  const block = cost.block({ from: 0, to: 1 });
  const context = { device: 'cpu', dtype: 'F32', generator: new Generator() } as const;
  const stage = buildStage(vit(config), { depths: [2] }, 0, context);
  const count = [...stage.parameters()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  expect(stem.parameters + 2 * block.parameters + head.parameters).toBe(count);
  expect(block.activations?.lastSpares).toBeUndefined();
  expect(
    vit({ ...config, pool: 'token' }).cost.block({ from: 0, to: 1 }).activations?.lastSpares,
  ).toBeDefined();
  stage.free();
});

test('unsupported pooling is refused', () => {
  const config = { imageSize: 8, patchSize: 4, channels: 3, classes: 2, width: 8, depth: 1, heads: 2 };
  const rest = { mlpRatio: 2, qkvBias: true, layerNormEps: 1e-6 };
  expect(() => vit({ ...config, ...rest, classToken: false, pool: 'token' })).toThrow(
    'class token needs one',
  );
  expect(() => vit({ ...config, ...rest, classToken: true, distilled: true, pool: 'mean' })).toThrow(
    'mean pooling is not supported',
  );
});

test('converted to timm and to ours and back, tensor for tensor; Hugging Face has no layout for it', async () => {
  await writeImages(join(folder, 'images'), { train: 1, val: 2 });
  for (const [name, config] of [
    ['fc_norm', {}],
    ['norm', { global_pool: 'avg' }],
  ] as const) {
    const from = timmFolder(name, config);
    const [ours, timm] = [join(folder, `${name}.ours.safetensors`), join(folder, `${name}.timm.safetensors`)];
    const heads = ['--set', 'model.heads=4'];
    expect((await cli(['convert', from, ours, '--to', 'deep-incubation', ...heads])).code).toBe(0);
    expect((await cli(['convert', ours, timm, '--to', 'timm'])).code).toBe(0);
    const [a, b] = [await readModelFile(from), await readModelFile(timm)];
    expect(new Map([...b.stages[0]].sort())).toEqual(new Map([...a.stages[0]].sort()));
    // Our file states its pooling.
    expect(maxDifference(logitsOf(await known(ours)), numbers(named(`${name}.logits`)))).toBeLessThan(1e-5);
    const refused = await cli(['convert', ours, join(folder, `${name}.hf`), '--to', 'huggingface']);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('classifies by the class token, but this model uses mean pooling');
    expect(refused.stderr).toContain('hint: convert it --to timm');
  }
});
