import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { readModelFile } from '../src/models/model-file/model-file.js';
import { joinStages } from '../src/models/model-file/model-file-write.js';
import { readSafetensors } from '../src/weights/safetensors/safetensors.js';
import { cli, type Ended, temporaryFolder } from './cli-support.js';
import { goldenPath, goldenTensors, maxDifference, numbers } from './support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const FT = goldenPath('ckpt/FT.pth');
const PT = goldenPath('ckpt/PT.pth');

async function converted(from: string, out: string, ...args: string[]) {
  const { code, stdout, stderr } = await cli(['convert', from, out, ...args, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('error') });
  return { stderr, ...JSON.parse(stdout) };
}

/** By name, so that the order in a file does not matter. */
function byName(tensors: ReadonlyMap<string, TensorData>): Record<string, string> {
  return Object.fromEntries(
    [...tensors].map(([name, { dtype, shape, data }]) => [
      name,
      `${dtype} [${shape}] ${createHash('sha256').update(data).digest('hex')}`,
    ]),
  );
}

async function stagesOf(path: string) {
  return (await readModelFile(path)).stages.map(byName);
}

async function wholeOf(path: string) {
  return byName(joinStages((await readModelFile(path)).stages, path));
}

test('from format to format and back, every tensor keeps its bits and stage', async () => {
  const whole = await wholeOf(FT);
  const facts = { parameters: 407_050, image_size: 28 };
  const first = await converted(FT, at('a.safetensors'), '--to', 'deep-incubation', '--set', 'model.heads=4');
  expect(first).toMatchObject({ ...facts, from: 'official', to: 'deep-incubation', depths: [2, 2, 2, 2] });
  expect(await stagesOf(at('a.safetensors'))).toEqual(await stagesOf(FT));

  // Our format contains the number of heads.
  const second = await converted(at('a.safetensors'), at('b'), '--to', 'huggingface');
  expect(second).toMatchObject({ ...facts, from: 'deep-incubation', to: 'huggingface', depths: [8] });
  const config = JSON.parse(readFileSync(at('b/config.json'), 'utf8'));
  expect(config).toMatchObject({ num_attention_heads: 4, layer_norm_eps: 1e-6, num_hidden_layers: 8 });
  expect(await wholeOf(at('b'))).toEqual(whole);

  const third = await converted(at('b'), at('c/c.safetensors'), '--to', 'timm');
  expect(third).toMatchObject({ ...facts, from: 'huggingface', to: 'timm', depths: [8] });
  expect(byName(readSafetensors(at('c/c.safetensors')).tensors)).toEqual(whole);

  const args = ['--to', 'official', '--depths', '2,2,2,2'];
  const fourth = await converted(at('c/c.safetensors'), at('d.pth'), ...args);
  expect(fourth).toMatchObject({
    ...facts,
    from: 'timm',
    to: 'official',
    depths: [2, 2, 2, 2],
    tensors: 104,
  });
  expect(await stagesOf(at('d.pth'))).toEqual(await stagesOf(FT));
});

test('the written file is reported, and can be inspected', async () => {
  const { code, stdout } = await cli(['convert', PT, at('written.safetensors'), '--to', 'timm']);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^written +\S+written\.safetensors\nformat +timm, from official\nblocks +4\nimage size +28\n/,
  );
  expect(stdout).toMatch(/\ntensors +56\nparameters +207,114\nsize +\d+ KiB\n$/);

  await converted(PT, at('inspected'), '--to', 'huggingface', '--set', 'model.heads=4');
  const inspected = await cli(['inspect', at('inspected')]);
  expect(inspected.stdout).toMatch(/\nlayout +huggingface\n/);
  expect(inspected.stdout).toMatch(/\nfrom config files: heads +4\n/);
  const json = JSON.parse((await cli(['inspect', at('inspected'), '--json'])).stdout);
  expect(json).toMatchObject({
    layout: 'huggingface',
    hints: { heads: 4, layer_norm_eps: 1e-6, classes: 10 },
  });
});

test('--depths divides again', async () => {
  await converted(FT, at('two.safetensors'), '--to', 'deep-incubation', '--depths', '3, 5');
  const stages = await stagesOf(at('two.safetensors'));
  expect(stages).toHaveLength(2);
  const [, second] = await stagesOf(FT);
  expect(stages[1]['blocks.0.attn.qkv.weight']).toEqual(second['blocks.1.attn.qkv.weight']);
});

test('--resize gives the official position embedding, and changes nothing else', async () => {
  const result = await converted(PT, at('56.safetensors'), '--to', 'deep-incubation', '--resize', '56');
  expect(result.image_size).toBe(56);
  const embedding = (await readModelFile(at('56.safetensors'))).stages[0].get('pos_embed') as TensorData;
  const official = goldenTensors('e_pos_embed.safetensors').get('to_14x14') as TensorData;
  expect(embedding.shape).toEqual([1, 197, 64]);
  expect(maxDifference(numbers(embedding), numbers(official))).toBeLessThan(1e-6);
  const others = async (path: string) => (await stagesOf(path)).map(({ pos_embed: _, ...stage }) => stage);
  expect(await others(at('56.safetensors'))).toEqual(await others(PT));
});

describe('an existing file', () => {
  test('is overwritten only with --force', async () => {
    const out = at('there.safetensors');
    writeFileSync(out, 'precious');
    const args = ['convert', PT, out, '--to', 'timm'];
    expectInputError(await cli(args), 'there.safetensors already exists', '--force');
    expect(readFileSync(out, 'utf8')).toBe('precious');
    expect((await cli([...args, '--force'])).code).toBe(0);
    expect(await wholeOf(out)).toEqual(await wholeOf(PT));
  });

  test('a folder, if the output is a folder', async () => {
    const out = at('there');
    mkdirSync(out);
    const args = ['convert', PT, out, '--set', 'model.heads=4'];
    expect((await cli([...args, '--to', 'huggingface'])).code).toBe(0);
    expectInputError(await cli([...args, '--to', 'huggingface']), 'there already exists', '--force');
    expectInputError(
      await cli([...args, '--to', 'official', '--force']),
      'there is a folder, but the format official is written as a file',
    );
    expectInputError(await cli(['convert', PT, PT, '--to', 'huggingface', '--force']), 'PT.pth is a file');
  });
});

describe('invalid conversions', () => {
  test.each([
    ['timm', 'x.pth', 'ends in .safetensors'],
    ['deep-incubation', 'x.bin', 'ends in .safetensors'],
    ['official', 'x.safetensors', 'ends in .pth'],
  ])('%s as %s: other programs would read another kind of file', async (to, name, hint) => {
    const out = at(name);
    const refusal = `the format ${to} cannot have this ending`;
    expectInputError(await cli(['convert', PT, out, '--to', to]), refusal, hint);
    expect(existsSync(out)).toBe(false);
  });

  test.each([
    [
      'depths that do not add up to the blocks',
      ['official', '--depths', '3,3'],
      'has 8 blocks, which cannot be divided into stages of 3, 3',
      'add up to 8',
    ],
    [
      'depths for a format without stages',
      ['timm', '--depths', '4,4'],
      '--depths: the format timm has no stages',
      'omit --depths',
    ],
    ['invalid depths', ['official', '--depths', '4,x'], "'4,x' is invalid", ''],
    [
      'patches that do not divide the size',
      ['timm', '--resize', '54'],
      '--resize 54: not a multiple of the patch size',
      'such as 56',
    ],
    ['unknown heads', ['huggingface'], 'the number of attention heads is unknown', '--set model.heads=N'],
    ['heads that do not fit', ['huggingface', '--set', 'model.heads=5'], 'model.heads 5 does not divide', ''],
    ['an unknown format', ['onnx'], "'onnx' is invalid. Allowed choices are", ''],
  ])('%s', async (_, args, message, hint) => {
    const ended = await cli(['convert', FT, at('failed'), '--to', ...args]);
    expectInputError(ended, message, hint);
    expect(existsSync(at('failed'))).toBe(false);
  });

  test('a file without weights, or a path that cannot be written', async () => {
    expectInputError(
      await cli(['convert', at('none.pth'), at('failed'), '--to', 'timm']),
      'none.pth does not exist',
    );
    writeFileSync(at('file'), '');
    const ended = await cli(['convert', PT, at('file/x.safetensors'), '--to', 'timm']);
    expectInputError(ended, /Cannot write \S+file\/x\.safetensors/);
    expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

/** The command failed because of invalid input, and prints no stack. */
function expectInputError({ code, stdout, stderr }: Ended, message: string | RegExp, hint = ''): void {
  expect(stderr).toMatch(/^error: /);
  expect(stderr).toMatch(message);
  expect(stderr).toContain(hint);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
}
