import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readSafetensors } from '../src/weights/safetensors/safetensors.js';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';
import { startFakeHub } from './fake-hub.js';
import { startFakeUploadHub } from './fake-hub-upload.js';
import { goldenPath } from './support.js';

const folder = temporaryFolder();
const run = join(folder, 'run');
const offline = { HF_ENDPOINT: 'http://127.0.0.1:9', HF_TOKEN: '', HOME: folder };

beforeAll(async () => {
  await writeImages(join(folder, 'images'), { train: 8, val: 4 });
  const recipe = { ...tinyRecipe(join(folder, 'images')), phases: { PT: { epochs: 1 }, E2E: 'none' } };
  writeFileSync(join(folder, 'recipe.yaml'), JSON.stringify(recipe));
  const { code, stderr } = await cli(['run', join(folder, 'recipe.yaml'), '--out', run, '--quiet']);
  expect({ code, stderr }).toMatchObject({ code: 0 });
}, 300_000);

test('--dry-run lists files, sizes and the card, and needs neither network nor token', async () => {
  const { code, stdout, stderr } = await cli(['push', run, 'ada/tiny', '--dry-run'], { env: offline });
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringContaining('assumed: --to huggingface\n'),
  });
  expect(stdout).toMatch(/^README\.md +.*B\nconfig\.json +.*B\nmodel\.safetensors +.*B\n(.*\n)*total /);
  expect(stdout).toContain('library_name: transformers');
  expect(stdout).toContain('dry run: nothing was sent to ada/tiny');
});

test('the hub returns a pushed model unchanged', async () => {
  const hub = await startFakeUploadHub();
  const env = { HF_ENDPOINT: hub.address, HF_TOKEN: 'hf_writer' };
  const args = [
    'push',
    join(run, 'FT'),
    'ada/tiny',
    '--to',
    'deep-incubation',
    '--message',
    'first',
    '--json',
  ];
  const { code, stdout, stderr } = await cli(args, { env });
  hub.close();
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringContaining('uploading model.safetensors'),
  });
  const files = Object.fromEntries(hub.repositories.get('ada/tiny') ?? []);
  expect(JSON.parse(stdout)).toMatchObject({
    checkpoint: join(run, 'FT'),
    repository: 'ada/tiny',
    dry_run: false,
    url: `${hub.address}/ada/tiny`,
    files: Object.entries(files).map(([path, { length }]) => ({ path, bytes: length })),
  });
  expect(hub.titles).toEqual(['first']);
  expect(files['README.md'].toString()).toContain('deep-incubation');
  const again = await startFakeHub(files);
  const from = { HF_ENDPOINT: again.address, HF_TOKEN: '', DEEP_INCUBATION_CACHE: join(folder, 'cache') };
  const out = join(folder, 'back.safetensors');
  const back = await cli(['convert', 'hf:someone/vits', out, '--to', 'deep-incubation'], { env: from });
  again.close();
  expect(back).toMatchObject({ code: 0 });
  const original = join(folder, 'original.safetensors');
  await cli(['convert', join(run, 'FT'), original, '--to', 'deep-incubation']);
  const [found, wanted] = [out, original].map((path) => readSafetensors(path).tensors);
  expect([...found.keys()]).toEqual([...wanted.keys()]);
  for (const [name, tensor] of wanted) expect(found.get(name)).toEqual(tensor);
}, 120_000);

test.each([
  ['no token', [run, 'ada/tiny'], 2, 'error: a push to ada/tiny needs an access token'],
  ['not a repository', [run, 'tiny'], 2, 'error: tiny is not a valid name of a repository'],
  ['not a checkpoint', [join(folder, 'none'), 'ada/tiny'], 2, 'does not exist'],
  ['a format that cannot hold it', [run, 'ada/tiny', '--to', 'torchvision'], 2, 'does not support'],
])('%s: exit 2, no stack', async (_, args, status, message) => {
  const { code, stderr } = await cli(['push', ...args], { env: offline });
  expect({ code, stderr }).toEqual({ code: status, stderr: expect.stringContaining(message) });
  expect(stderr).not.toContain('    at ');
});

test('a hub that cannot be reached: exit 1', async () => {
  const closed = await startFakeUploadHub();
  closed.close();
  const env = { ...offline, HF_ENDPOINT: closed.address, HF_TOKEN: 'hf_writer' };
  const { code, stderr } = await cli(['push', run, 'ada/tiny'], { env });
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: expect.stringContaining('cannot be reached (ECONNREFUSED)'),
  });
});

test('weights without a run are pushed without a card, with a message', async () => {
  const args = [
    'push',
    goldenPath('ckpt/FT.pth'),
    'ada/ft',
    '--dry-run',
    '--set',
    'model.heads=4',
    '--to',
    'timm',
  ];
  const { code, stdout, stderr } = await cli(args, { env: offline });
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('no model card') });
  expect(stdout).toMatch(/^model\.safetensors /m);
});
