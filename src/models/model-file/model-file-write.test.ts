import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { readSafetensors } from '../../weights/safetensors/safetensors.js';
import { readTorchFile } from '../../weights/torch-file/torch-file.js';
import { isTorchTensor } from '../../weights/torch-file/torch-file-tensor.js';
import { huggingFaceHints } from '../vit/layout-config.js';
import { inferGeometry } from '../vit/weights-geometry.js';
import { type ModelFile, readModelFile } from './model-file.js';
import { divideStages, joinStages, writeModelFile } from './model-file-write.js';

const folder = mkdtempSync(join(tmpdir(), 'model-file-write-'));
afterAll(() => rmSync(folder, { recursive: true }));

const golden = 'test/golden/ckpt/FT.pth';
let stages: ModelFile['stages'];
beforeAll(async () => {
  stages = (await readModelFile(golden)).stages;
});

type Stages = Map<string, ModelFile['stages'][number] extends ReadonlyMap<string, infer T> ? T : never>[];
/** The user without rights. */
const NOBODY = 65534;
const copy = (): Stages => stages.map((stage) => new Map(stage));

/** Keys of `model` and of every stage. */
async function keysOf(path: string): Promise<unknown[]> {
  const root = await readTorchFile(path);
  if (!(root instanceof Map)) throw new Error('no dictionary');
  const list = root.get('model_stages');
  const dictionaries = [root.get('model'), ...(Array.isArray(list) ? list : [])];
  return dictionaries.map((each) => (each instanceof Map ? [...each.keys()] : each));
}

describe('official', () => {
  const path = join(folder, 'official.pth');

  test('has the names of the official file, in its order', async () => {
    writeModelFile(path, stages, { to: 'official' });
    expect(await keysOf(path)).toEqual(await keysOf(golden));
    const shuffled = stages.map((stage) => new Map([...stage].sort().reverse()));
    writeModelFile(path, shuffled, { to: 'official' });
    expect((await keysOf(path)).slice(0, 1)).toEqual((await keysOf(golden)).slice(0, 1));
  });

  test('two names of the same tensor share its bytes, which are written once', async () => {
    writeModelFile(path, stages, { to: 'official' });
    const root = await readTorchFile(path);
    const model = root instanceof Map ? root.get('model') : undefined;
    if (!(model instanceof Map)) throw new Error('no model');
    const [one, other] = await Promise.all(
      ['stages.3.blocks.1.mlp.fc1.weight', 'blocks.7.mlp.fc1.weight'].map(async (name) => {
        const tensor = model.get(name);
        return isTorchTensor(tensor) ? (await tensor.load()).data : undefined;
      }),
    );
    expect(one?.buffer).toBe(other?.buffer);
    const weights = stages.flatMap((stage) => [...stage.values()]);
    const bytes = weights.reduce((sum, { data }) => sum + data.length, 0);
    expect(readFileSync(path).length).toBeLessThan(bytes + 100_000);
  });

  test('a distilled model keeps its token and head, in stages too', async () => {
    const distilled = await readModelFile('test/fixtures/interop/timm-distilled.safetensors');
    writeModelFile(path, distilled.stages, { to: 'official' });
    const [model, stage] = await keysOf(path);
    expect((model as string[]).slice(0, 3)).toEqual(['cls_token', 'pos_embed', 'dist_token']);
    expect(stage).toEqual(expect.arrayContaining(['dist_token', 'head_dist.weight', 'head_dist.bias']));
  });
});

test('our format has metadata; timm’s states that it is for PyTorch', () => {
  const [ours, timm] = ['ours', 'timm'].map((name) => join(folder, name));
  writeModelFile(ours, stages, { to: 'deep-incubation', metadata: { phase: 'FT' } });
  expect(readSafetensors(ours).metadata).toEqual({ phase: 'FT' });
  writeModelFile(timm, stages, { to: 'timm' });
  expect(readSafetensors(timm).metadata).toEqual({ format: 'pt' });
  expect(readSafetensors(timm).tensors.has('blocks.7.mlp.fc2.bias')).toBe(true);
});

test("Hugging Face's config.json has everything that is known from shapes and options", () => {
  const path = join(folder, 'hf', 'made');
  writeModelFile(path, stages, { to: 'huggingface', heads: 4, layerNormEps: 1e-6 });
  const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  expect(config).toMatchObject({
    architectures: ['ViTForImageClassification'],
    model_type: 'vit',
    hidden_act: 'gelu',
    qkv_bias: true,
    hidden_size: 64,
    num_hidden_layers: 8,
    num_attention_heads: 4,
    intermediate_size: 256,
    layer_norm_eps: 1e-6,
    image_size: 28,
    patch_size: 4,
    num_channels: 3,
  });
  expect(Object.keys(config.id2label)).toHaveLength(10);
  expect(readdirSync(path).sort()).toEqual(['config.json', 'model.safetensors']);
});

test('with class names and preprocessing', () => {
  const path = join(folder, 'hf', 'named');
  const classNames = Array.from({ length: 10 }, (_, i) => `class ${i}`);
  const pixels = { mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6], shorterSide: null };
  writeModelFile(path, stages, { to: 'huggingface', heads: 4, layerNormEps: 1e-6, classNames, pixels });
  const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  expect(config).toMatchObject({ id2label: { 0: 'class 0', 9: 'class 9' }, label2id: { 'class 3': 3 } });
  expect(huggingFaceHints(path)).toMatchObject({ classes: 10, mean: pixels.mean, std: pixels.std });
});

describe('models that cannot be written', () => {
  const path = join(folder, 'refused');
  const options = { to: 'huggingface', heads: 4, layerNormEps: 1e-6 } as const;
  test.each<[string, (stages: Stages) => void, Parameters<typeof writeModelFile>[2], string]>([
    ['no heads', () => {}, { to: 'huggingface', layerNormEps: 1e-6 }, 'needs the number of attention heads'],
    ['no epsilon', () => {}, { to: 'huggingface', heads: 4 }, "needs LayerNorm's epsilon"],
    ['heads that do not divide', () => {}, { ...options, heads: 5 }, 'width 64 cannot be split into 5'],
    [
      'no class token',
      ([first]) => {
        const { dtype, data } = first.get('pos_embed') ?? { dtype: 'F32', data: new Uint8Array() };
        first.delete('cls_token');
        first.set('pos_embed', { dtype, shape: [1, 49, 64], data: data.subarray(256) });
      },
      options,
      'has a class token, but this model has none',
    ],
    ['no head', (all) => void all[3].delete('head.weight'), options, 'head.weight is missing'],
    ['a gap', (all) => void all.splice(1, 1, new Map()), { to: 'timm' }, 'has no blocks'],
  ])('%s: an error, and no file', (_, change, given, message) => {
    const changed = copy();
    change(changed);
    expect(() => writeModelFile(path, changed, given)).toThrow(InputError);
    expect(() => writeModelFile(path, changed, given)).toThrow(message);
    expect(existsSync(path)).toBe(false);
  });

  test('the previous file stays, and no partial file is left', () => {
    const kept = join(folder, 'kept');
    mkdirSync(kept);
    writeFileSync(join(kept, 'model.pth'), 'old');
    const broken = copy();
    broken[0].set('cls_token', { dtype: 'F32', shape: [1, 1, 64], data: new Uint8Array(3) });
    for (const to of ['official', 'timm', 'deep-incubation'] as const) {
      expect(() => writeModelFile(join(kept, 'model.pth'), broken, { to })).toThrow('does not fit 3 bytes');
    }
    mkdirSync(join(kept, 'folder'));
    expect(() => writeModelFile(join(kept, 'folder'), stages, { to: 'timm' })).toThrow(InputError);
    expect(readFileSync(join(kept, 'model.pth'), 'utf8')).toBe('old');
    expect(readdirSync(kept).sort()).toEqual(['folder', 'model.pth']);
  });

  test('a folder that is read-only', () => {
    const closed = join(folder, 'closed');
    mkdirSync(closed);
    chmodSync(closed, 0o500);
    // Root may write everywhere.
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(NOBODY);
    try {
      expect(() => writeModelFile(join(closed, 'x'), stages, { to: 'timm' })).toThrow(InputError);
    } finally {
      if (isRoot) process.seteuid?.(0);
      chmodSync(closed, 0o700);
    }
  });
});

test('the written model has the given geometry', async () => {
  const path = join(folder, 'geometry.pth');
  const { stages: bias } = await readModelFile('test/fixtures/interop/timm-no-bias.safetensors');
  writeModelFile(path, bias, { to: 'official' });
  expect(inferGeometry((await readModelFile(path)).stages)).toEqual(inferGeometry(bias));
});

/** Names of a model in stages of these depths, each with the number it has in the whole. */
function model(depths: readonly number[]): Map<string, number>[] {
  let block = 0;
  return depths.map((depth, i) => {
    const blocks = Array.from({ length: depth }, (_, j): [string, number] => [
      `blocks.${j}.norm1.bias`,
      block++,
    ]);
    const first: [string, number][] =
      i === 0
        ? [
            ['cls_token', -1],
            ['patch_embed.proj.bias', -2],
          ]
        : [];
    const last: [string, number][] =
      i === depths.length - 1
        ? [
            ['norm.bias', -3],
            ['head_dist.bias', -4],
          ]
        : [];
    return new Map([...first, ...blocks, ...last]);
  });
}

describe('divideStages', () => {
  test.each([
    [
      [1, 1, 1, 1],
      [2, 2],
    ],
    [[12], [3, 3, 3, 3]],
    [[1, 2, 1, 1], [5]],
    [
      [2, 2],
      [2, 2],
    ],
    [
      [11, 1],
      [1, 11],
    ],
  ])('of %o into %o, and back', (before, after) => {
    expect(divideStages(model(before), after)).toEqual(model(after));
    expect(divideStages(divideStages(model(before), after), before)).toEqual(model(before));
  });

  test('names keep their order: embeddings, blocks, norm and heads', () => {
    const names = [...joinStages(model([1, 1])).keys()];
    expect(names).toEqual([...model([2])[0].keys()]);
  });

  test.each<[string, Map<string, number>[], number[], string]>([
    ['too few', model([2, 2]), [3], 'm: has 4 blocks, which cannot be divided into stages of 3'],
    ['too many', model([2, 2]), [2, 3], 'cannot be divided into stages of 2, 3'],
    ['an empty stage', model([2, 2]), [4, 0], 'cannot be divided into stages of 4, 0'],
    ['half blocks', model([2]), [0.5, 1.5], 'has 2 blocks'],
    ['none', model([2, 2]), [], 'has 4 blocks'],
    [
      'a stage without blocks',
      [...model([2]), new Map([['norm.bias', 0]])],
      [2],
      'm: stages.1 has no blocks',
    ],
    ['a gap', [new Map([['blocks.1.x', 0]])], [1], 'stages.0.blocks.0 is missing'],
    [
      'a tensor of no known end',
      [
        new Map([
          ['blocks.0.x', 0],
          ['other.x', 0],
        ]),
      ],
      [1],
      'm: the tensor other.x of stage 0',
    ],
    ['a head in the middle', model([2]).concat(model([1])), [3], 'm: the tensor norm.bias of stage 0'],
    ['an embedding in the middle', model([1, 1]).reverse(), [2], 'of stage 0 belongs to no other'],
  ])('%s is an error', (_, stages, depths, message) => {
    expect(() => divideStages(stages, depths, 'm')).toThrow(InputError);
    expect(() => divideStages(stages, depths, 'm')).toThrow(message);
  });
});
