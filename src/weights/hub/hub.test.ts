import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeHub, type Faults, startFakeHub } from '../../../test/fake-hub.js';
import { InputError, RunError } from '../../base/errors.js';
import { type HubOptions, localCheckpoint } from './hub.js';
import type { HubProgress } from './hub-download.js';

const NAME = 'hf:someone/vits/pretrained/tiny.pth';
const weights = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251));
const config = Buffer.from('{"num_attention_heads": 4}\n');

let cache: string;
let hub: FakeHub;

beforeEach(async () => {
  cache = mkdtempSync(join(tmpdir(), 'hub-'));
  hub = await startFakeHub({ 'pretrained/tiny.pth': weights, 'pretrained/config.json': config });
});

afterEach(() => {
  hub.close();
  rmSync(cache, { recursive: true });
});

const fetched = (name: string, env: NodeJS.ProcessEnv = {}, more: Partial<HubOptions> = {}) =>
  localCheckpoint(name, {
    env: { DEEP_INCUBATION_CACHE: cache, HF_ENDPOINT: `${hub.address}/`, ...env },
    ...more,
  });
const kept = () =>
  readdirSync(cache, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());

describe('names', () => {
  test('a path is kept', async () => {
    expect(await localCheckpoint('runs/demo/FT')).toBe('runs/demo/FT');
    expect(await localCheckpoint('/x/hf:y.pth')).toBe('/x/hf:y.pth');
  });

  test.each([
    'hf:',
    'hf:someone/vits/',
    'hf:/vits/tiny.pth',
    'hf:someone/vits/../../../tiny.pth',
    'hf:someone/../tiny.pth',
    'hf:someone/vits/a//b.pth',
    'hf:someone/vits/a\\b.pth',
    'hf:some one/vits/a.pth',
    'hf:someone/vits/tiny.pth@',
  ])('%s is refused', async (name) => {
    await expect(fetched(name)).rejects.toThrow(InputError);
    await expect(fetched(name)).rejects.toThrow(`${name} is not a valid name of a file on the hub`);
    expect(hub.requests).toEqual([]);
  });
});

describe('a download', () => {
  test('is complete, verified, and stored with its companion files', async () => {
    const seen: Parameters<HubProgress>[0][] = [];
    const place = await fetched(NAME, {}, { onProgress: (progress) => seen.push(progress) });
    const folder = join(cache, 'hub/someone/vits/main/pretrained');
    expect(place).toBe(join(folder, 'tiny.pth'));
    expect(readFileSync(place).equals(weights)).toBe(true);
    expect(readFileSync(join(folder, 'config.json'))).toEqual(config);
    expect(kept()).toHaveLength(4);
    expect(JSON.parse(readFileSync(`${place}.hub.json`, 'utf8'))).toEqual({
      size: weights.length,
      digest: { kind: 'sha256', hex: createHash('sha256').update(weights).digest('hex') },
    });
    const { length: size } = weights;
    const ofWeights = seen.filter(({ path }) => path === 'pretrained/tiny.pth');
    expect(ofWeights[0]).toEqual({ path: 'pretrained/tiny.pth', bytes: 0, size });
    expect(ofWeights.at(-1)).toEqual({ path: 'pretrained/tiny.pth', bytes: size, size });
    expect(hub.requests.map(({ url }) => url)).not.toContain('/xet');
  });

  test('is not repeated, online or offline, unless the file has another length', async () => {
    const place = await fetched(NAME);
    hub.requests.length = 0;
    expect(await fetched(NAME)).toBe(place);
    expect(await fetched(NAME, { HF_HUB_OFFLINE: '1' })).toBe(place);
    expect(hub.requests).toEqual([]);

    truncateSync(place, 100);
    await expect(fetched(NAME, { HF_HUB_OFFLINE: '1' })).rejects.toThrow('HF_HUB_OFFLINE is set');
    await fetched(NAME);
    expect(readFileSync(place).equals(weights)).toBe(true);
    writeFileSync(`${place}.hub.json`, '{');
    await fetched(NAME);
    expect(readFileSync(place).equals(weights)).toBe(true);
  });

  test('of a revision has its own folder', async () => {
    await expect(fetched(`${NAME}@refs/pr/1`)).rejects.toThrow();
    expect(hub.requests[0].url).toBe('/api/models/someone/vits/paths-info/refs%2Fpr%2F1');
    const commit = '0123456789abcdef0123456789abcdef01234567';
    await expect(fetched(`${NAME}@${commit}`)).rejects.toThrow();
    expect(hub.requests[1].url).toBe(`/api/models/someone/vits/paths-info/${commit}`);
  });

  test('sends the token to the hub, and to no other host', async () => {
    await fetched(NAME, { HF_TOKEN: 'hf_secret' });
    const [elsewhere, atHub] = [true, false].map((there) =>
      hub.requests.filter(({ isStorage }) => isStorage === there).map(({ authorization }) => authorization),
    );
    expect(new Set(atHub)).toEqual(new Set(['Bearer hf_secret']));
    expect(new Set(elsewhere)).toEqual(new Set([undefined]));
    expect(elsewhere.length).toBeGreaterThan(0);
  });

  test('that is interrupted resumes where it stopped', async () => {
    hub.faults.breakAfter = 120_000;
    const place = await fetched(NAME);
    expect(readFileSync(place).equals(weights)).toBe(true);
    const ranges = hub.requests.filter(({ isStorage }) => isStorage).map(({ range }) => range);
    expect(ranges.length).toBeGreaterThanOrEqual(3);
    expect(ranges.slice(1).every((range) => /^bytes=\d+-299999$/.test(range ?? ''))).toBe(true);
  });
});

describe('a repository', () => {
  const withFiles = async (files: Record<string, Buffer>) => {
    hub.close();
    hub = await startFakeHub(files);
  };
  const repository = join('hub', 'someone', 'vits', 'main');

  test.each(['hf:someone/vits', 'hf-hub:someone/vits@main'])('%s: its best file of weights', async (name) => {
    const files = { 'pytorch_model.bin': Buffer.from('old'), 'config.json': config };
    await withFiles({ ...files, 'model.safetensors': weights });
    expect(await fetched(name)).toBe(join(cache, repository, 'model.safetensors'));
    expect(readFileSync(join(cache, repository, 'config.json'))).toEqual(config);
    expect(kept()).toHaveLength(4);
    hub.requests.length = 0;
    await fetched(name, { HF_HUB_OFFLINE: '1' });
    expect(hub.requests).toEqual([]);
  });

  test('without weights of a known name is an error that lists the known names', async () => {
    const error: unknown = await fetched('hf:someone/vits').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InputError);
    const message = expect.stringContaining('someone/vits at revision main has no model.safetensors, ');
    expect(error).toMatchObject({ message, hint: expect.stringContaining('hf:someone/vits/path/in/repo') });
    expect(kept()).toEqual([]);
  });
});

describe('weights in shards', () => {
  const NAMES = ['model-1-of-2.safetensors', 'model-2-of-2.safetensors'];
  const index = Buffer.from(JSON.stringify({ weight_map: { a: NAMES[0], b: NAMES[1], c: NAMES[0] } }));
  const files = {
    'big/model.safetensors.index.json': index,
    'big/config.json': config,
    ...Object.fromEntries(NAMES.map((name, i) => [`big/${name}`, weights.subarray(i)])),
  };
  const name = 'hf:someone/vits/big/model.safetensors.index.json';
  const folder = () => join(cache, 'hub/someone/vits/main/big');
  const start = async (without?: string) => {
    hub.close();
    hub = await startFakeHub(Object.fromEntries(Object.entries(files).filter(([path]) => path !== without)));
  };

  test('come with their index, once', async () => {
    await start();
    expect(await fetched(name)).toBe(join(folder(), 'model.safetensors.index.json'));
    for (const [i, shard] of NAMES.entries()) {
      expect(readFileSync(join(folder(), shard)).equals(weights.subarray(i))).toBe(true);
    }
    hub.requests.length = 0;
    await fetched(name, { HF_HUB_OFFLINE: '1' });
    expect(hub.requests).toEqual([]);
  });

  test('are complete only with the last of them', async () => {
    await start();
    const stop = new AbortController();
    const onProgress: HubProgress = ({ path, bytes }) => {
      if (path.endsWith(NAMES[1]) && bytes > 0) stop.abort(new Error('enough'));
    };
    await expect(fetched(name, {}, { onProgress, signal: stop.signal })).rejects.toThrow('enough');
    await expect(fetched(name, { HF_HUB_OFFLINE: '1' })).rejects.toThrow('HF_HUB_OFFLINE is set');
    hub.requests.length = 0;
    await fetched(name);
    const fromStorage = hub.requests.filter(({ isStorage }) => isStorage).map(({ url }) => url);
    expect(new Set(fromStorage)).toEqual(new Set([`/big/${NAMES[1]}`]));
  });

  test.each([
    [
      'without an end',
      { endless: 'big/model.safetensors.index.json' },
      RunError,
      /received more than \d+ bytes/,
    ],
    [
      'with a large stated size',
      { sizes: { 'big/model.safetensors.index.json': 2 ** 25 } },
      InputError,
      /33554432/,
    ],
  ])('an index %s is refused', async (_, faults, kind, message) => {
    await start();
    Object.assign(hub.faults, faults);
    const error: unknown = await fetched(name).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ message: expect.stringMatching(message), hint: expect.any(String) });
    expect(
      kept()
        .map((each) => each.name)
        .filter((each) => each.includes('index')),
    ).toEqual([]);
  });

  test('a preprocessor_config.json without an end is refused', async () => {
    hub.close();
    hub = await startFakeHub({ ...files, 'big/preprocessor_config.json': config });
    hub.faults.endless = 'big/preprocessor_config.json';
    await expect(fetched(name)).rejects.toThrow('received more than 27 bytes');
    await expect(fetched(name)).rejects.toThrow(RunError);
  });

  test('that the repository does not have are an error', async () => {
    await start(`big/${NAMES[1]}`);
    await expect(fetched(name)).rejects.toThrow(InputError);
    await expect(fetched(name)).rejects.toThrow(`big/${NAMES[1]} is not in someone/vits at revision main`);
  });
});

describe('a failure leaves no file, and says what to do', () => {
  type Kind = typeof InputError | typeof RunError;
  const failing: [string, Faults, NodeJS.ProcessEnv, string, Kind, RegExp][] = [
    [
      'other bytes',
      { digest: 'ab'.repeat(32) },
      {},
      NAME,
      RunError,
      /tiny\.pth: the downloaded file differs .* hub states abab/,
    ],
    ['a connection without data', { breakAfter: 0 }, {}, NAME, RunError, /stopped at byte 0 of 300000/],
    [
      'a break and a mirror without ranges',
      { breakAfter: 200_000, ignoresRange: true },
      {},
      NAME,
      RunError,
      /the downloaded file differs from the hub's: received more than 300000 bytes/,
    ],
    [
      'no such file',
      {},
      {},
      'hf:someone/vits/none.pth',
      InputError,
      /none\.pth is not in someone\/vits at revision main/,
    ],
    ['a folder', {}, {}, 'hf:someone/vits/pretrained', InputError, /pretrained is a folder/],
    [
      'no such repository',
      {},
      {},
      'hf:someone/else/a.pth',
      InputError,
      /a\.pth: the hub answered: Repository not found/,
    ],
    ['no access', { status: 401 }, {}, NAME, InputError, /tiny\.pth: the hub answered: Repository not found/],
    ['a hub with server errors', { status: 503 }, {}, NAME, RunError, /the hub answered/],
    ['a server that is not a hub', { answer: '<html>Sign in</html>' }, {}, NAME, RunError, /is not a hub/],
    [
      'a hub with another response format',
      { answer: '[{"path": "pretrained/tiny.pth"}]' },
      {},
      NAME,
      RunError,
      /is not a hub/,
    ],
    [
      'an unreachable hub',
      {},
      { HF_ENDPOINT: 'http://127.0.0.1:9' },
      NAME,
      RunError,
      /127\.0\.0\.1:9 cannot be reached \(/,
    ],
    [
      'a list of files without an end',
      { endless: 'list' },
      {},
      NAME,
      RunError,
      /is not a hub \(its answer has more than 16777216 bytes\)/,
    ],
    [
      'a config.json without an end',
      { endless: 'pretrained/config.json' },
      {},
      NAME,
      RunError,
      /tiny\.pth: the downloaded file differs from the hub's: received more than 27 bytes/,
    ],
    [
      'a config.json with a large stated size',
      { sizes: { 'pretrained/config.json': 2 ** 40 } },
      {},
      NAME,
      InputError,
      /tiny\.pth: pretrained\/config\.json has 1099511627776 bytes, more than the limit of 16777216/,
    ],
    ['no address', {}, { HF_ENDPOINT: 'nowhere' }, NAME, InputError, /HF_ENDPOINT is nowhere/],
    ['no token', {}, { HF_TOKEN: 'secret' }, NAME, InputError, /HF_TOKEN is not an access token/],
    ['offline mode', {}, { HF_HUB_OFFLINE: 'true' }, NAME, InputError, /is not in the cache/],
  ];

  test.each(failing)('%s', async (_, given, env, name, kind, message) => {
    Object.assign(hub.faults, given);
    const error: unknown = await fetched(name, env).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(kind);
    expect(error).toMatchObject({ message: expect.stringMatching(message), hint: expect.any(String) });
    expect(error).not.toMatchObject({ message: expect.stringContaining('\n') });
    const others = kept().filter((each) => !each.name.startsWith('config.json'));
    expect(others).toEqual([]);
  });

  test('a cache that cannot be written', async () => {
    writeFileSync(join(cache, 'hub'), '');
    await expect(fetched(NAME)).rejects.toThrow(/the cache .* cannot be written/);
    await expect(fetched(NAME)).rejects.toThrow(InputError);
  });

  test('a stop', async () => {
    const stop = new AbortController();
    const onProgress: HubProgress = ({ path, bytes }) => {
      if (path.endsWith('.pth') && bytes > 0) stop.abort(new Error('enough'));
    };
    hub.faults.breakAfter = 100_000;
    await expect(fetched(NAME, {}, { onProgress, signal: stop.signal })).rejects.toThrow('enough');
    expect(kept().map(({ name }) => name)).toEqual(
      expect.arrayContaining(['config.json', 'config.json.hub.json']),
    );
    expect(kept()).toHaveLength(2);
  });
});
