import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeUploadHub, startFakeUploadHub } from '../../../test/fake-hub-upload.js';
import { InputError, RunError } from '../../base/errors.js';
import { type HubUpload, uploadToHub } from './hub-upload.js';

const weights = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251));
let folder: string;
let hub: FakeUploadHub;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'hub-upload-'));
  writeFileSync(join(folder, 'model.safetensors'), weights);
  writeFileSync(join(folder, 'config.json'), '{}\n');
  hub = await startFakeUploadHub(['ada/known']);
});

afterEach(() => {
  hub.close();
  rmSync(folder, { recursive: true });
});

function push(repository: string, { env, ...more }: Partial<HubUpload> = {}): Promise<string> {
  return uploadToHub({
    repository,
    files: ['config.json', 'model.safetensors'].map((path) => ({ path, source: join(folder, path) })),
    title: 'first',
    env: { HF_TOKEN: 'hf_writer', HF_ENDPOINT: `${hub.address}/`, HOME: folder, ...env },
    ...more,
  });
}
const hex = (file: Buffer) => file.toString('hex');
const committed = (repository: string) =>
  Object.fromEntries([...(hub.repositories.get(repository) ?? [])].map(([path, file]) => [path, hex(file)]));
const whole = { 'config.json': hex(Buffer.from('{}\n')), 'model.safetensors': hex(weights) };

test.each([
  ['is created', 'ada/new', {}, [{ name: 'new', organization: 'ada', type: 'model' }]],
  [
    'is created private',
    'ada/new',
    { isPrivate: true },
    [expect.objectContaining({ visibility: 'private' })],
  ],
  ['is known', 'ada/known', { isPrivate: true }, []],
])('a repository that %s gets all files in one commit', async (_, repository, options, created) => {
  expect(await push(repository, options)).toBe(`${hub.address}/${repository}`);
  expect(committed(repository)).toEqual(whole);
  expect(hub.created).toEqual(created);
  expect(hub.titles).toEqual(['first']);
});

test('content that the hub has is not sent again, and other files stay', async () => {
  await push('ada/known');
  writeFileSync(join(folder, 'config.json'), '{"a":1}\n');
  await push('ada/known', { files: [{ path: 'sub/c.json', source: join(folder, 'config.json') }] });
  await push('ada/known', { title: 'third' });
  expect(hub.requests.filter(({ method }) => method === 'PUT')).toHaveLength(1);
  expect(Object.keys(committed('ada/known')).sort()).toEqual([
    'config.json',
    'model.safetensors',
    'sub/c.json',
  ]);
});

test('the token is sent to the hub, not to the storage that it names', async () => {
  await push('ada/new');
  const tokens = (isStorage: boolean) =>
    new Set(
      hub.requests.filter(({ method }) => (method === 'PUT') === isStorage).map((each) => each.authorization),
    );
  expect(tokens(true)).toEqual(new Set([undefined]));
  expect(tokens(false)).toEqual(new Set(['Bearer hf_writer']));
});

test.each([
  ['HF_HOME', (at: string) => ({ HF_HOME: at }), 'token'],
  ['HF_TOKEN_PATH', (at: string) => ({ HF_TOKEN_PATH: join(at, 'mine') }), 'mine'],
  ['the home folder', () => ({}), '.cache/huggingface/token'],
])('the token that a login stored is used: %s', async (_, envOf, file) => {
  mkdirSync(join(folder, '.cache/huggingface'), { recursive: true });
  writeFileSync(join(folder, file), 'hf_writer\n');
  const env = { HF_TOKEN: '', XDG_CACHE_HOME: '', ...envOf(folder) };
  await push('ada/known', { env });
  expect(committed('ada/known')).toEqual(whole);
});

test.each([
  ['no token', 'ada/new', { HF_TOKEN: '' }, 'a push to ada/new needs an access token', 'HF_TOKEN'],
  ['not a token', 'ada/new', { HF_TOKEN: 'secret' }, 'HF_TOKEN is not an access token', 'tokens'],
  [
    'an unknown token',
    'ada/new',
    { HF_TOKEN: 'hf_x' },
    'ada/new: the hub answered: Invalid credentials',
    'may write',
  ],
  [
    'a foreign owner',
    'bob/new',
    {},
    "bob/new: the hub answered: You don't have the rights",
    'may write to bob/new',
  ],
  ['an invalid address', 'ada/new', { HF_ENDPOINT: 'x' }, 'HF_ENDPOINT is x', 'address'],
  ['no owner', 'new', {}, 'new is not a valid name of a repository', 'owner/name'],
  ['a path', 'ada/new/x', {}, 'ada/new/x is not a valid name', 'owner/name'],
  ['dots', 'ada/..', {}, 'ada/.. is not a valid name', 'owner/name'],
])('%s: an input error', async (_, repository, env, message, hint) => {
  const error = await push(repository, { env }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(InputError);
  expect((error as InputError).message).toContain(message);
  expect((error as InputError).hint).toContain(hint);
  expect(hub.titles).toEqual([]);
});

test.each(['/api/models/ada/known?', '/preupload/', '/objects/batch', '/storage/', '/commit/'])(
  'a hub that fails at %s: an error of the run, and no commit; the next push succeeds',
  async (part) => {
    hub.faults.statuses = { [part]: 503 };
    const error = await push('ada/known').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RunError);
    expect((error as RunError).message).toBe('ada/known: the hub answered: fault 503');
    hub.faults.statuses = {};
    hub.faults.breakAt = part;
    await expect(push('ada/known')).rejects.toThrow(RunError);
    expect(committed('ada/known')).toEqual({});
    hub.faults.breakAt = undefined;
    await push('ada/known');
    expect(committed('ada/known')).toEqual(whole);
  },
);

test('an abort ends the push without a commit', async () => {
  const controller = new AbortController();
  const reason = new Error('stopped');
  controller.abort(reason);
  await expect(push('ada/known', { signal: controller.signal })).rejects.toBe(reason);
  expect(hub.titles).toEqual([]);
});
