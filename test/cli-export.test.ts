import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import onnxProto from 'onnx-proto';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { expect, test } from 'vitest';
import type { TensorData } from '../src/base/tensor-data.js';
import { cli, temporaryFolder } from './cli-support.js';
import { goldenPath, goldenTensors, maxDifference, numbers } from './support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const FT = goldenPath('ckpt/FT.pth');
const HEADS = ['--set', 'model.heads=4'];

function metadataOf(path: string): Record<string, string> {
  const { metadataProps } = onnxProto.onnx.ModelProto.decode(readFileSync(path));
  return Object.fromEntries(metadataProps.map(({ key, value }) => [key, value]));
}

test.each([
  ['in one file', []],
  ['with its weights beside it', ['--external-data']],
])('a checkpoint %s gives the official logits', async (name, args) => {
  const out = at(`${args.length}.onnx`);
  const { code, stdout, stderr } = await cli(['export', FT, out, ...HEADS, ...args, '--json']);
  expect({ name, code }).toEqual({ name, code: 0 });
  // The official file does not state the preprocessing.
  expect(stderr).toMatch(/^assumed: mean .+\nassumed: standard deviation .+\n$/);
  expect(JSON.parse(stdout)).toMatchObject({
    checkpoint: FT,
    out,
    data: args.length > 0 ? `${out}.data` : null,
    opset: 17,
    pixels: ['batch', 3, 28, 28],
    logits: ['batch', 10],
    normalised_inside: false,
    parameters: 407_050,
  });
  const batch = goldenTensors('b_batch16.safetensors');
  const { data, shape } = batch.get('images') as TensorData;
  const session = await InferenceSession.create(out);
  const pixels = new Tensor('float32', new Float32Array(data.slice().buffer), [...shape]);
  const { logits } = await session.run({ pixels });
  const official = numbers(batch.get('logits.FT') as TensorData);
  expect(maxDifference([...(logits.data as Float32Array)], official)).toBeLessThan(1e-5);
  await session.release();
});

test('the model states its preprocessing and its classes', async () => {
  const names = [
    'T-shirt',
    'Trouser',
    'Pullover',
    'Dress',
    'Coat',
    'Sandal',
    'Shirt',
    'Sneaker',
    'Bag',
    'Boot',
  ];
  writeFileSync(at('names.txt'), `${names.join('\n')}\n`);
  writeFileSync(at('names.json'), JSON.stringify(names));
  for (const [i, file] of ['names.txt', 'names.json'].entries()) {
    const out = at(`stated-${i}.onnx`);
    const size = ['--set', 'model.image_size=56', ...(i === 1 ? ['--set', 'data.eval_crop=1'] : [])];
    const args = [...HEADS, '--with-normalisation', '--classes', at(file), ...size];
    const { code, stderr, stdout } = await cli(['export', FT, out, ...args]);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining('28 px images, resized for 56 px'),
    });
    expect(stdout).toMatch(/\npixels +\[batch, 3, 56, 56\], float32\n +RGB \/ 255\nlogits +\[batch, 10\]\n/);
    expect(metadataOf(out)).toMatchObject({
      pixels: '0..1',
      channels: 'RGB',
      mean: '[0.485,0.456,0.406]',
      image_size: '56',
      resize_shorter: i === 1 ? '56' : '64',
      class_names: JSON.stringify(names),
      checkpoint: FT,
    });
  }
});

test('an existing file is overwritten only with --force', async () => {
  for (const there of ['there.onnx', 'beside.onnx.data']) {
    writeFileSync(at(there), 'precious');
    const args = ['export', FT, at(there.replace('.data', '')), ...HEADS];
    const refused = await cli(args);
    expect(refused.stderr).toMatch(new RegExp(`^error: \\S+${there} already exists\\n.*--force`));
    expect(refused.code).toBe(2);
    expect(readFileSync(at(there), 'utf8')).toBe('precious');
    expect((await cli([...args, '--force'])).code).toBe(0);
  }
  expect(existsSync(at('beside.onnx.data'))).toBe(false);
});

test.each<[string, string[], string]>([
  ['unknown heads', [], 'the number of attention heads is unknown'],
  ['a wrong number of names', [...HEADS, '--classes', 'package.json'], 'package.json is not a list of names'],
  ['a missing file of names', [...HEADS, '--classes', 'none.txt'], '--classes: none.txt does not exist'],
  ['a missing recipe', ['--recipe', 'none.yaml'], 'none.yaml'],
])('%s: an error, and no file', async (_, args, message) => {
  const { code, stdout, stderr } = await cli(['export', FT, at('failed.onnx'), ...args]);
  expect(stderr).toMatch(/^(assumed: .+\n)*error: /);
  expect(stderr).toContain(message);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(readdirSync(folder).filter((name) => name.includes('failed') || name.startsWith('.'))).toEqual([]);
});
