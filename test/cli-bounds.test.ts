import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, expect, test } from 'vitest';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';

// Endless files, and files whose content is far larger than their size: refused, in a process limited to 200 MB.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const env = { NODE_OPTIONS: '--max-old-space-size=200' };

beforeAll(async () => {
  await writeImages(at('images'), { train: 8, val: 2 });
  writeFileSync(at('recipe.json'), JSON.stringify(tinyRecipe(at('images'))));
}, 60_000);

/** @returns the error message of a command that refuses its input */
async function refused(...args: string[]): Promise<string> {
  const { code, stderr } = await cli(args, { env });
  expect(stderr).not.toContain('may be a bug');
  expect(stderr).toMatch(/^error: /m);
  expect(code).toBe(2);
  return stderr;
}

function pipe(path: string): string {
  expect(spawnSync('mkfifo', [path]).status).toBe(0);
  return path;
}

test('a recipe that is a device, extends one, is a pipe or has 300,000 keys', async () => {
  expect(await refused('plan', '/dev/zero')).toContain('/dev/zero: not a regular file but a device');
  writeFileSync(at('extends.yaml'), 'extends: /dev/zero\nseed: 1\n');
  expect(await refused('plan', at('extends.yaml'))).toContain('/dev/zero: not a regular file but a device');
  expect(await refused('plan', pipe(at('recipe.pipe')))).toContain(
    'recipe.pipe: not a regular file but a pipe',
  );
  const keys = Array.from({ length: 300_000 }, (_, i) => `key${i}: ${i}\n`);
  writeFileSync(at('keys.yaml'), keys.join(''));
  expect(await refused('plan', at('keys.yaml'))).toContain('more than the limit of 1048576 for such a file');
  writeFileSync(at('some.yaml'), ['extends: recipe.json\n', ...keys.slice(0, 50_000)].join(''));
  const some = await refused('plan', at('some.yaml'));
  expect(some).toContain('unknown key key0, key1, key2, key3, key4 and 49995 more');
}, 60_000);

test('YAML whose aliases multiply, and a key that is duplicated', async () => {
  const rows = Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}]`);
  writeFileSync(at('bomb.yaml'), ['a0: &a0 [x]', ...rows].join('\n'));
  expect(await refused('plan', at('bomb.yaml'))).toContain(
    'bomb.yaml is not valid YAML: Excessive alias count',
  );
  writeFileSync(at('deep.yaml'), '['.repeat(200_000));
  expect(await refused('plan', at('deep.yaml'))).toContain(
    'deep.yaml is not valid YAML: it is nested deeper than 200',
  );
  writeFileSync(at('twice.yaml'), 'seed: 1\nname: a\nseed: 2\n');
  expect(await refused('plan', at('twice.yaml'))).toContain('Map keys must be unique: seed at line 3');
}, 60_000);

test('an image that links to a device', async () => {
  const images = at('linked');
  cpSync(at('images'), images, { recursive: true });
  symlinkSync('/dev/zero', join(images, 'train/dark/zero.png'));
  const { code, stdout } = await cli(['data', 'check', images, '--json'], { env });
  expect(code).toBe(1);
  const { problems } = JSON.parse(stdout) as { problems: { images: string[]; detail: string }[] };
  const named = problems.filter(({ detail }) => detail.includes('not a file')).flatMap((each) => each.images);
  expect(named.map((name) => name.split('/').at(-1))).toEqual(['zero.png']);
}, 60_000);

test('a safetensors header of 300,000 empty tensors, or of as many other keys', async () => {
  const write = (name: string, entries: string[]) => {
    const json = Buffer.from(`{${entries.join(',')}}`);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    writeFileSync(at(name), Buffer.concat([length, json]));
    return at(name);
  };
  const empty = (_: unknown, i: number) => `"tensor.${i}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`;
  const tensors = write('tensors.safetensors', Array.from({ length: 300_000 }, empty));
  expect(await refused('inspect', tensors)).toContain(' entries');
  const texts = Array.from({ length: 1_100_000 }, (_, i) => `"k${i}":"v"`);
  const metadata = write('metadata.safetensors', [`"__metadata__":{${texts.join(',')}}`]);
  expect(await refused('inspect', metadata)).toContain(' entries');
  expect(await refused('inspect', pipe(at('pipe.safetensors')))).toContain('not a regular file but a pipe');
  const beside = at('beside');
  mkdirSync(beside);
  cpSync('test/fixtures/interop/timm.safetensors', join(beside, 'model.safetensors'));
  for (const name of ['manifest.json', 'config.json']) {
    symlinkSync('/dev/zero', join(beside, name));
    expect(await refused('inspect', beside)).toContain(`${name}: not a regular file but a device`);
    unlinkSync(join(beside, name));
  }
}, 60_000);

test('a gzipped IDX that unpacks to 4.7 GB, one that is a pipe, and a device', async () => {
  const idx = at('idx');
  mkdirSync(idx);
  const header = Buffer.alloc(16);
  header.writeUInt32BE(0x803);
  for (const [i, size] of [6_000_000, 28, 28].entries()) header.writeUInt32BE(size, 4 + 4 * i);
  const name = join(idx, 'train-images-idx3-ubyte');
  // The size implies the deflate ratio of 2.3 MB; a second gzip member adds more bytes.
  const zeros = gzipSync(Buffer.alloc(2 ** 26), { level: 1 });
  writeFileSync(`${name}.gz`, Buffer.concat([gzipSync(header), ...Array.from({ length: 20 }, () => zeros)]));
  const set = [
    '--set',
    'data.format=fashion-mnist',
    '--set',
    `data.path=${idx}`,
    '--set',
    'model.channels=1',
  ];
  const pixels = ['--set', 'model.image_size=28', '--set', 'model.patch_size=4', '--set', 'model.classes=10'];
  writeFileSync(join(idx, 'train-labels-idx1-ubyte'), '');
  const command = ['run', at('recipe.json'), '--out', at('idx-run'), ...set, ...pixels];
  const means = ['--set', 'data.mean=[0.3]', '--set', 'data.std=[0.3]'];
  expect(await refused(...command, ...means)).toContain('is too long');
  pipe(name);
  expect(await refused(...command, ...means)).toContain(
    'train-images-idx3-ubyte: not a regular file but a pipe',
  );
}, 60_000);

test('shards, lists of classes and records of a run that are pipes or devices', async () => {
  const shards = at('shards');
  mkdirSync(shards);
  pipe(join(shards, 'train-000000.tar'));
  pipe(join(shards, 'val-000000.tar'));
  const sharded = ['run', at('recipe.json'), '--out', at('sharded'), '--set', 'data.format=shards'];
  expect(await refused(...sharded, '--set', `data.path=${shards}`)).toContain(
    'not a regular file but a pipe',
  );

  const run = at('run');
  expect(
    await cli(['run', at('recipe.json'), '--out', run, '--set', 'phases.PT.epochs=1', '--only', 'PT']),
  ).toMatchObject({ code: 0 });
  const exported = ['export', join(run, 'PT'), at('model.onnx'), '--classes'];
  expect(await refused(...exported, '/dev/zero')).toContain('/dev/zero: not a regular file but a device');
  for (const record of ['plan.json', 'recipe.json']) {
    const copy = at(`piped ${record}`);
    cpSync(run, copy, { recursive: true });
    spawnSync('rm', [join(copy, record)]);
    pipe(join(copy, record));
    expect(await refused('status', copy)).toContain(`${record}: not a regular file but a pipe`);
  }
}, 120_000);
