import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { assemble } from '../src/method/assemble.js';
import { type ModelFile, readModelFile } from '../src/models/model-file/model-file.js';
import { divideStages, joinStages, writeModelFile } from '../src/models/model-file/model-file-write.js';
import { vit } from '../src/models/vit/vit.js';
import { inferGeometry } from '../src/models/vit/weights-geometry.js';
import { noGrad } from '../src/torch/autograd.js';
import { Generator } from '../src/torch/random.js';
import { scope } from '../src/torch/scope.js';
import { fromData } from '../src/torch/tensor.js';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors/safetensors.js';
import { needs, pythonPath, pythonTorch } from './needs.js';
import { goldenPath, goldenTensors, maxDifference, numbers } from './support.js';

const folder = mkdtempSync(join(tmpdir(), 'interop-'));
afterAll(() => rmSync(folder, { recursive: true }));

const fixture = (name: string) => join('test/fixtures/interop', name);
const tensors = readSafetensors(fixture('logits.safetensors')).tensors;
const images = tensors.get('images') as TensorData;
const golden = goldenTensors('b_batch16.safetensors');

interface Case {
  readonly name: string;
  readonly path: string;
  readonly layout: ModelFile['layout'];
  readonly depths: readonly number[];
  readonly eps: number;
  readonly qkvBias: boolean;
  readonly images: TensorData;
  readonly logits: TensorData;
}

/** Models from test/fixtures/make-interop.py, and a checkpoint of the official code. */
const cases: Case[] = [
  { name: 'timm', layout: 'timm', depths: [3], eps: 1e-6, qkvBias: true },
  { name: 'timm-no-bias', layout: 'timm', depths: [2], eps: 1e-5, qkvBias: false },
  { name: 'timm-distilled', layout: 'timm', depths: [2], eps: 1e-6, qkvBias: true },
  { name: 'huggingface', layout: 'huggingface', depths: [2], eps: 1e-3, qkvBias: true },
  { name: 'huggingface-5', layout: 'huggingface', depths: [2], eps: 1e-3, qkvBias: true },
  { name: 'huggingface-deit', layout: 'huggingface', depths: [2], eps: 1e-3, qkvBias: false },
].map((each): Case => {
  const path = fixture(each.layout === 'timm' ? `${each.name}.safetensors` : each.name);
  const logits = tensors.get(each.name.replace('-5', '')) as TensorData;
  return { ...each, layout: each.layout as ModelFile['layout'], path, images, logits };
});
cases.push({
  name: 'official',
  path: goldenPath('ckpt/FT.pth'),
  layout: 'official',
  depths: [2, 2, 2, 2],
  eps: 1e-6,
  qkvBias: true,
  images: golden.get('images') as TensorData,
  logits: golden.get('logits.FT') as TensorData,
});

type Stages = ModelFile['stages'];

const HEADS = 4;

const LAYOUTS = ['deep-incubation', 'timm', 'huggingface', 'official'] as const;
const SUFFIXES: Readonly<Record<string, string>> = {
  'deep-incubation': '.ours.safetensors',
  timm: '.timm.safetensors',
  huggingface: '.huggingface',
  official: '.pth',
};

/** Every tensor of the undivided model, its bytes by their digest, in one order. */
function content(stages: Stages): string[] {
  return [...joinStages(stages)]
    .map(([name, { dtype, shape, data }]) => {
      return `${name} ${dtype} [${shape}] ${createHash('sha256').update(data).digest('hex')}`;
    })
    .sort();
}

function logitsOf(stages: Stages, eps: number, input: TensorData): number[] {
  const { depths, ...geometry } = inferGeometry(stages);
  const depth = depths.reduce((sum, each) => sum + each, 0);
  const generator = new Generator();
  const context = { device: 'cpu', dtype: 'F32', generator } as const;
  const weights = stages.map((stage) => ({ weights: stage, source: 'file' }));
  const blueprint = vit({ ...geometry, depth, heads: HEADS, layerNormEps: eps });
  const model = assemble(blueprint, depths, weights, context);
  return scope(() =>
    noGrad(() =>
      Array.from(model.forward(fromData(input), { training: false, generator, key: [] }).toFloat32Array()),
    ),
  );
}

describe.each(cases)('$name', (given) => {
  const { path, layout, depths, eps, qkvBias } = given;
  const isDistilled = /distilled|deit/.test(given.name);
  const written = (to: string) => join(folder, given.name + SUFFIXES[to]);

  test('is recognised, with its geometry', async () => {
    const model = await readModelFile(path);
    expect(model.layout).toBe(layout);
    expect(inferGeometry(model.stages)).toMatchObject({
      depths,
      qkvBias,
      patchSize: 4,
      classToken: true,
      ...(isDistilled ? { distilled: true } : {}),
    });
    if (layout !== 'huggingface') return expect(model.hints).toEqual({});
    expect(model.hints).toMatchObject({ heads: HEADS, layerNormEps: eps, imageSize: 16, classes: 5 });
  });

  test('computes the logits of the program that wrote it', async () => {
    const { stages } = await readModelFile(path);
    const ours = logitsOf(stages, eps, given.images);
    expect(maxDifference(ours, numbers(given.logits))).toBeLessThan(1e-5);
  });

  test('is the same in every layout, and again from ours in every layout', async () => {
    const { stages } = await readModelFile(path);
    const original = content(stages);
    for (const to of LAYOUTS) {
      writeModelFile(written(to), stages, { to, heads: HEADS, layerNormEps: eps });
      const model = await readModelFile(written(to));
      expect(model.layout).toBe(to);
      expect(content(model.stages)).toEqual(original);
      const kept = to === 'official' || to === 'deep-incubation';
      expect(model.stages).toHaveLength(kept ? depths.length : 1);
    }
    const ours = await readModelFile(written('deep-incubation'));
    for (const to of LAYOUTS) {
      const again = join(folder, `again${SUFFIXES[to]}`);
      writeModelFile(again, ours.stages, { to, heads: HEADS, layerNormEps: eps });
      expect(content((await readModelFile(again)).stages)).toEqual(original);
      rmSync(again, { recursive: true });
    }
  });
});

test('official, timm, Hugging Face and back to official stages: the same file', async () => {
  const paths = ['a.pth', 'b.safetensors', 'c', 'd.pth'].map((name) => join(folder, name));
  const { stages } = await readModelFile(goldenPath('ckpt/MT_1.pth'));
  writeModelFile(paths[0], stages, { to: 'official' });
  writeModelFile(paths[1], (await readModelFile(paths[0])).stages, { to: 'timm' });
  const { stages: undivided } = await readModelFile(paths[1]);
  writeModelFile(paths[2], undivided, { to: 'huggingface', heads: HEADS, layerNormEps: 1e-6 });
  const back = divideStages((await readModelFile(paths[2])).stages, [1, 2, 1, 1]);
  writeModelFile(paths[3], back, { to: 'official' });
  expect(readFileSync(paths[3]).equals(readFileSync(paths[0]))).toBe(true);
});

test('timm, transformers and torch load the written files', {
  timeout: 600_000,
  ...needs(pythonTorch),
}, async () => {
  const list = [];
  const expected = new Map<string, TensorData>();
  for (const { name, eps, qkvBias, ...given } of cases) {
    const { stages } = await readModelFile(given.path);
    const { depths, mlpRatio, distilled, classes, imageSize, width } = inferGeometry(stages);
    for (const to of LAYOUTS)
      writeModelFile(join(folder, name + SUFFIXES[to]), stages, {
        to,
        heads: HEADS,
        layerNormEps: eps,
      });
    expected.set(`${name}.images`, given.images);
    // For a distilled model, the names are those of timm.
    const logits = distilled ? numbers(given.logits) : logitsOf(stages, eps, given.images);
    expected.set(`${name}.logits`, {
      ...given.logits,
      data: new Uint8Array(Float32Array.from(logits).buffer),
    });
    const depth = depths.reduce((sum, each) => sum + each, 0);
    list.push({
      name,
      eps,
      qkv_bias: qkvBias,
      heads: HEADS,
      depth,
      mlp_ratio: mlpRatio,
      distilled: !!distilled,
      classes,
      image_size: imageSize,
      width,
    });
  }
  writeFileSync(join(folder, 'cases.json'), JSON.stringify(list));
  writeSafetensors(join(folder, 'expected.safetensors'), expected);
  const output = execFileSync(pythonPath, ['test/fixtures/check-interop.py', folder], {
    encoding: 'utf8',
  });
  process.stdout.write(output);
  const differences = output
    .trim()
    .split('\n')
    .map((line) => Number(line.split(' ').at(-1)));
  expect(differences).toHaveLength(3 * cases.length);
  expect(Math.max(...differences)).toBeLessThan(1e-5);
});
