import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../../test/fixtures/mutate.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { TensorData } from '../../base/tensor-data.js';
import { writeFile } from '../../files/file-bytes.js';
import { readSafetensors, writeSafetensors } from '../../weights/safetensors/safetensors.js';
import { type TorchValue, torchFileWriter } from '../../weights/torch-file/torch-file-write.js';
import { inferGeometry } from '../vit/weights-geometry.js';
import { readModelFile } from './model-file.js';
import { writeModelFile } from './model-file-write.js';

const folder = mkdtempSync(join(tmpdir(), 'model-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

const fixture = (name: string) => join('test/fixtures', name);
const golden = (name: string) => join('test/golden/ckpt', name);

type Stages = readonly ReadonlyMap<string, TensorData>[];

function flat(stages: Stages): Map<string, TensorData> {
  const pairs = stages.flatMap((stage, i) =>
    [...stage].map(([name, each]) => [`stages.${i}.${name}`, each] as const),
  );
  return new Map(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function digest(stages: Stages): string {
  const hash = createHash('sha256');
  for (const [name, { data }] of flat(stages)) hash.update(`${name}\n`).update(data);
  return hash.digest('hex');
}

describe('official checkpoints', () => {
  // SHA-256 as Python's torch computed it: test/fixtures/make.py.
  const digests: Record<string, { sha256: string; epoch: number }> = JSON.parse(
    readFileSync(fixture('golden-digests.json'), 'utf8'),
  );

  test.each([
    ['PT', [1, 1, 1, 1]],
    ['MT_1', [1, 2, 1, 1]],
    ['FT', [2, 2, 2, 2]],
  ])('%s has the bytes that torch reads', async (name, depths) => {
    const model = await readModelFile(golden(`${name}.pth`));
    expect(digest(model.stages)).toBe(digests[name].sha256);
    expect(model).toMatchObject({
      format: 'torch',
      layout: 'official',
      epoch: digests[name].epoch,
      metadata: {},
    });
    expect(inferGeometry(model.stages)).toEqual({
      imageSize: 28,
      patchSize: 4,
      channels: 3,
      width: 64,
      depths,
      classes: 10,
      mlpRatio: 4,
      qkvBias: true,
      classToken: true,
    });
  });

  test("a hybrid's frozen stages are the meta model's, tensor for tensor", async () => {
    const meta = (await readModelFile(golden('PT.pth'))).stages;
    const hybrid = (await readModelFile(golden('MT_1.pth'))).stages;
    expect([0, 1, 2, 3].map((i) => digest([hybrid[i]]) === digest([meta[i]]))).toEqual([
      true,
      false,
      true,
      true,
    ]);
    expect(meta.map((stage) => stage.has('cls_token'))).toEqual([true, false, false, false]);
    expect(meta.map((stage) => stage.has('head.weight'))).toEqual([false, false, false, true]);
  });
});

describe('every layout of one model gives the same stages', () => {
  const expected = readSafetensors(fixture('tiny-vit.safetensors')).tensors;
  const sorted = new Map([...expected].sort(([a], [b]) => (a < b ? -1 : 1)));

  test.each(['tiny-vit-model.pth', 'tiny-vit-ddp.pth', 'tiny-vit.safetensors'])('%s', async (name) => {
    const model = await readModelFile(fixture(name));
    expect(model.stages).toHaveLength(2);
    expect(flat(model.stages)).toEqual(sorted);
    expect(model.epoch).toBeUndefined();
  });

  test('our safetensors, with metadata', async () => {
    const path = join(folder, 'written');
    const { stages } = await readModelFile(fixture('tiny-vit-model.pth'));
    writeModelFile(path, stages, { to: 'deep-incubation', metadata: { phase: 'PT' } });
    const model = await readModelFile(path);
    expect(model).toMatchObject({
      path,
      format: 'safetensors',
      layout: 'deep-incubation',
      metadata: { phase: 'PT' },
    });
    expect(flat(model.stages)).toEqual(sorted);
  });

  test('one of our checkpoint folders', async () => {
    const path = join(folder, '100');
    mkdirSync(path);
    await expect(readModelFile(path)).rejects.toThrow('model.safetensors is missing');
    copyFileSync(fixture('tiny-vit.safetensors'), join(path, 'model.safetensors'));
    await expect(readModelFile(path)).rejects.toThrow('manifest.json is missing');
    writeFileSync(join(path, 'manifest.json'), '{"format":1,"step":100,"epoch":4}');
    const model = await readModelFile(path);
    expect(model).toMatchObject({ path, format: 'checkpoint', epoch: 4 });
    expect(flat(model.stages)).toEqual(sorted);
    writeFileSync(join(path, 'manifest.json'), '{"step":100}');
    expect((await readModelFile(path)).epoch).toBeUndefined();
    writeFileSync(join(path, 'manifest.json'), '{');
    await expect(readModelFile(path)).rejects.toThrow('manifest.json: invalid JSON');
  });
});

describe('names used by other programs', () => {
  const path = join(folder, 'other.pth');
  const interop = (name: string) => join('test/fixtures/interop', name);
  const torch = (value: TorchValue) => writeFile(path, torchFileWriter(value));
  const sorted = (stages: Stages) => new Map([...flat(stages)]);
  const huggingFace = () => readSafetensors(interop('huggingface/model.safetensors')).tensors;

  test("Hugging Face's pytorch_model.bin, queries, keys and values read into one tensor", async () => {
    const expected = await readModelFile(interop('huggingface'));
    torch({ ordered: huggingFace() });
    const model = await readModelFile(path);
    expect(model).toMatchObject({ format: 'torch', layout: 'huggingface', hints: {} });
    expect(sorted(model.stages)).toEqual(sorted(expected.stages));
    const own = join(folder, 'bin');
    mkdirSync(own);
    copyFileSync(path, join(own, 'pytorch_model.bin'));
    copyFileSync(interop('huggingface/config.json'), join(own, 'config.json'));
    const { hints, ...rest } = await readModelFile(own);
    expect(hints.heads).toBe(4);
    expect(sorted(rest.stages)).toEqual(sorted(expected.stages));
  });

  test('each Hugging Face file, with its companion files', async () => {
    const expected = await readModelFile(interop('huggingface'));
    expect(expected).toMatchObject({ format: 'safetensors', path: interop('huggingface/model.safetensors') });
    expect(await readModelFile(interop('huggingface/model.safetensors'))).toEqual(expected);
    const shards = await readModelFile(interop('huggingface-5'));
    const byIndex = await readModelFile(interop('huggingface-5/model.safetensors.index.json'));
    expect(byIndex).toEqual(shards);
    expect(sorted(shards.stages)).toEqual(sorted(expected.stages));
    expect(shards.hints).toMatchObject({ heads: 4, layerNormEps: 1e-3 });
  });

  test('a config.json next to a .pth is ignored unless the file has the hub’s name', async () => {
    const tensors = readSafetensors(interop('timm.safetensors')).tensors;
    const own = join(folder, 'beside');
    mkdirSync(own);
    writeFileSync(join(own, 'config.json'), '{"num_classes":7}');
    torch(new Map([['model', { ordered: tensors }]]));
    copyFileSync(path, join(own, 'deit.pth'));
    writeSafetensors(join(own, 'timm.safetensors'), tensors);
    expect(await readModelFile(join(own, 'deit.pth'))).toMatchObject({ layout: 'timm', hints: {} });
    copyFileSync(path, join(own, 'pytorch_model.bin'));
    expect((await readModelFile(join(own, 'pytorch_model.bin'))).hints).toEqual({ classes: 7 });
    expect((await readModelFile(join(own, 'timm.safetensors'))).hints).toEqual({ classes: 7 });
  });

  test.each(['state_dict', 'model'])('under %s, behind two wrappers, with an optimizer', async (key) => {
    const tensors = readSafetensors(interop('timm.safetensors')).tensors;
    const wrapped = new Map([...tensors].map(([name, tensor]) => [`_orig_mod.module.${name}`, tensor]));
    const state = new Map<number, TorchValue>([[0, new Map([['step', 3]])]]);
    torch(
      new Map<string, TorchValue>([
        [key, { ordered: wrapped }],
        ['optimizer', new Map([['state', state]])],
      ]),
    );
    expect(sorted((await readModelFile(path)).stages)).toEqual(flat([tensors]));
  });

  test("a distilled model's token and second head, which the official stages leave out", async () => {
    const { stages } = await readModelFile(interop('timm-distilled.safetensors'));
    const [whole] = stages;
    const bare = new Map([...whole].filter(([name]) => !/dist/.test(name)));
    const module = new Map([...whole].map(([name, tensor]) => [`module.${name}`, tensor]));
    torch(
      new Map<string, TorchValue>([
        ['model', { ordered: module }],
        ['model_stages', [{ ordered: bare }]],
      ]),
    );
    const model = await readModelFile(path);
    expect(model.layout).toBe('official');
    expect(sorted(model.stages)).toEqual(sorted(stages));
  });

  test('queries, keys and values in one storage that would join to more than the file has', async () => {
    const shared = { dtype: 'U8', shape: [100, 100], data: new Uint8Array(10_000) } as const;
    const names = Array.from({ length: 4 }, (_, i) =>
      ['q', 'k', 'v'].map((part) => `blocks.${i}.attn.${part}.weight`),
    );
    torch({ ordered: new Map(names.flat().map((name) => [name, shared])) });
    await expect(readModelFile(path)).rejects.toThrow('more memory than the file has bytes');
    await expect(readModelFile(path)).rejects.toThrow(InputError);
  });

  test('queries, keys and values that are parts or columns of a larger tensor', async () => {
    const data = Uint8Array.from({ length: 12 }, (_, i) => i);
    const stage = await readModelFile(interop('qkv-views.pth'));
    const expected = { dtype: 'U8', shape: [6, 2], data };
    expect(stage.stages[0].get('blocks.0.attn.qkv.weight')).toEqual(expected);
    expect(stage.stages[0].get('blocks.1.attn.qkv.weight')).toEqual(expected);
  });

  test.each([0x80, 0x4b50])(
    'a safetensors header of %d bytes, which begins like another format',
    async (bytes) => {
      const tensor = { dtype: 'U8', shape: [1], data: new Uint8Array([7]) } as const;
      const path = join(folder, 'length.safetensors');
      const written = (text: string) => writeSafetensors(path, new Map([['norm.bias', tensor]]), { text });
      written('');
      const shortest = readFileSync(path).readUInt32LE();
      written('x'.repeat(bytes - shortest));
      expect(readFileSync(path).readUInt32LE()).toBe(bytes);
      expect((await readModelFile(path)).stages).toEqual([new Map([['norm.bias', tensor]])]);
    },
  );

  test('mutated files give a model or InputError, and take no more memory than twice their bytes', {
    timeout: FUZZ_TIMEOUT,
  }, async () => {
    const originals = ['interop/timm.safetensors', 'interop/huggingface/model.safetensors'].map((name) =>
      readFileSync(fixture(name)),
    );
    torch({ ordered: huggingFace() });
    originals.push(readFileSync(path));
    let refused = 0;
    for (let run = 0; run < FUZZ_RUNS; run++) {
      const original = originals[run % originals.length];
      const stream = randomStream(['model-file', run]);
      // Data is most of the file, and any will do: what is not data is at one of the ends.
      const head = original.subarray(0, 5000);
      const mutated =
        run % 3 === 2
          ? mutate(original, stream)
          : Buffer.concat([mutate(head, stream), original.subarray(5000)]);
      const place = join(folder, 'mutated');
      writeFileSync(place, mutated);
      try {
        const { stages } = await readModelFile(place);
        const buffers = new Set(
          stages.flatMap((stage) => [...stage.values()].map(({ data }) => data.buffer)),
        );
        const total = [...buffers].reduce((sum, { byteLength }) => sum + byteLength, 0);
        expect(total).toBeLessThanOrEqual(2 * mutated.length);
      } catch (error) {
        if (!(error instanceof InputError)) throw new Error(`run ${run}`, { cause: error });
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(FUZZ_RUNS / 4);
    expect(refused).toBeLessThan(FUZZ_RUNS);
  });
});

test.each([
  ['no weights', fixture('pil-resize.json'), 'neither a safetensors file nor'],
  ['a missing file', join(folder, 'absent'), 'cannot be opened'],
  ['a legacy file', fixture('legacy.pth'), 'before torch 1.6'],
  [
    'a dictionary without weights',
    fixture('mixed.pth'),
    'no model weights found: its keys are tensors, args',
  ],
])('%s is refused', async (_, path, message) => {
  await expect(readModelFile(path)).rejects.toThrow(InputError);
  await expect(readModelFile(path)).rejects.toThrow(message);
});
