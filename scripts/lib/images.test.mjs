import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ensureImages } from './images.mjs';
import { sha256 } from './paths.mjs';
import { silent, temporaryFolder, writeFiles } from './testing.mjs';

const FILES = { 'a.gz': sha256('pixels'), 'b.gz': sha256('labels') };
const WHOLE = { 'a.gz': gzipSync('pixels'), 'b.gz': gzipSync('labels', { level: 1 }) };

/** @param {Record<string, string | Buffer>} content @returns {import('./images-fetch.mjs').Fetcher} */
function fetcher(content, name = 'a mirror') {
  return {
    name,
    fetchInto: async (folder) => {
      writeFiles(folder, content);
    },
  };
}

/** @type {import('./images-fetch.mjs').Fetcher} */
const unreachable = { name: 'nowhere', fetchInto: () => Promise.reject(new Error('no route')) };

/** @param {Partial<Parameters<typeof ensureImages>[0]>} options */
function images(options) {
  const defaults = {
    env: {},
    cache: temporaryFolder(),
    note: silent,
    debianFolder: '/nonexistent',
    fetchers: [],
  };
  return ensureImages({ ...defaults, files: FILES, ...options });
}

describe('ensureImages', () => {
  it('copies a folder given by FASHION_MNIST into the cache', async () => {
    const given = writeFiles(temporaryFolder(), WHOLE);
    const cache = temporaryFolder();
    const folder = await images({ env: { FASHION_MNIST: given }, cache });
    expect(folder).toBe(join(cache, 'fashion-mnist'));
    expect(readFileSync(join(folder, 'b.gz'))).toEqual(WHOLE['b.gz']);
    expect(readdirSync(cache)).toEqual(['fashion-mnist']);
  });

  it.each([
    [
      { 'b.gz': gzipSync('lapels') },
      /b\.gz unpacks to other content \(sha256 [0-9a-f]{12}…, not [0-9a-f]{12}…\)\.$/,
    ],
    [{ 'b.gz': WHOLE['b.gz'].subarray(0, 15) }, /: b\.gz is not a complete \.gz file\.$/],
  ])('refuses a FASHION_MNIST of wrong content', async (wrong, sentence) => {
    const given = writeFiles(temporaryFolder(), { ...WHOLE, ...wrong });
    const cache = temporaryFolder();
    await expect(images({ env: { FASHION_MNIST: given }, cache })).rejects.toMatchObject({
      message: expect.stringMatching(sentence),
      exitCode: 2,
    });
    expect(existsSync(join(cache, 'fashion-mnist'))).toBe(false);
  });

  it('refuses a FASHION_MNIST that lacks a file', async () => {
    const given = writeFiles(temporaryFolder(), { 'a.gz': WHOLE['a.gz'] });
    await expect(images({ env: { FASHION_MNIST: given } })).rejects.toThrow(
      `FASHION_MNIST is ${given}: b.gz is missing.`,
    );
  });

  it("prefers the Debian package's folder to fetching, unless it is damaged", async () => {
    const whole = writeFiles(temporaryFolder(), WHOLE);
    expect(existsSync(await images({ debianFolder: whole, fetchers: [unreachable] }))).toBe(true);
    const damaged = writeFiles(temporaryFolder(), { ...WHOLE, 'a.gz': 'x' });
    await expect(images({ debianFolder: damaged, fetchers: [unreachable] })).rejects.toThrow(
      'could not be downloaded',
    );
  });

  it('tries the next source if one fails or delivers other content', async () => {
    const folder = await images({
      fetchers: [unreachable, fetcher({ ...WHOLE, 'a.gz': gzipSync('other') }), fetcher(WHOLE)],
    });
    expect(readFileSync(join(folder, 'a.gz'))).toEqual(WHOLE['a.gz']);
  });

  it('if no source answers, says what to do and what each source answered', async () => {
    const tampered = fetcher({ ...WHOLE, 'a.gz': gzipSync('other') }, 'the mirror');
    await expect(images({ fetchers: [unreachable, tampered] })).rejects.toMatchObject({
      message: 'Fashion-MNIST could not be downloaded.',
      details: expect.stringMatching(/^nowhere: no route\nthe mirror: a\.gz unpacks to other content/),
      hint: expect.stringContaining('set FASHION_MNIST'),
    });
  });

  it('downloads nothing if the cache is complete, and downloads again if it was damaged', async () => {
    const cache = temporaryFolder();
    const folder = await images({ cache, fetchers: [fetcher(WHOLE)] });
    expect(await images({ cache, fetchers: [unreachable] })).toBe(folder);
    writeFileSync(join(folder, 'a.gz'), gzipSync('damage'));
    await expect(images({ cache, fetchers: [unreachable] })).rejects.toThrow('could not be downloaded');
    await images({ cache, fetchers: [fetcher(WHOLE)] });
    expect(readFileSync(join(folder, 'a.gz'))).toEqual(WHOLE['a.gz']);
  });
});
