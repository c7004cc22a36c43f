import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Browser } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { launchBrowser } from './browser.js';
import { cli, temporaryFolder } from './cli-support.js';
import { chromium, needs } from './needs.js';
import { goldenPath, IMAGENET_MEAN, IMAGENET_STD, maxDifference } from './support.js';

const folder = temporaryFolder();
const root = fileURLToPath(new URL('..', import.meta.url));

/** Serves the example with a model; gives its address. */
function serve(model: string): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [join(root, 'examples/browser/serve.mjs'), model], {
    env: { ...process.env, PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    child.stdout.once('data', (chunk) => resolve({ child, url: String(chunk).trim() }));
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)));
  });
}

describe('the page, in Chromium', needs(chromium), () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await launchBrowser();
  });
  afterAll(() => browser?.close());

  test.each([
    ['of normalised pixels', []],
    ['input: pixels from 0 to 1, with its weights beside it', ['--with-normalisation', '--external-data']],
  ])('gives the logits of onnxruntime in Node, %s', async (_, args) => {
    const model = join(folder, `${args.length}.onnx`);
    const set = ['--set', 'model.heads=4'];
    expect((await cli(['export', goldenPath('ckpt/FT.pth'), model, ...set, ...args])).code).toBe(0);
    const { child, url } = await serve(model);
    try {
      const page = await browser.newPage();
      const elsewhere: string[] = [];
      const problems: string[] = [];
      page.on('request', (request) => {
        if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url()))
          elsewhere.push(request.url());
      });
      page.on('pageerror', (error) => problems.push(error.message));
      await page.goto(url);
      await expect.poll(() => page.textContent('#status'), { timeout: 120_000 }).toBe('Ready.');

      const picture = goldenPath('png/00_y0.png');
      await page.setInputFiles('#file', picture);
      await page.waitForSelector('#results li');
      const theirs: number[] = JSON.parse((await page.getAttribute('#results', 'data-logits')) ?? '');
      const ours = await logitsInNode(model, picture, args.length === 0);
      expect(maxDifference(theirs, ours)).toBeLessThan(1e-3);
      const top = ours.indexOf(Math.max(...ours));
      expect(await page.textContent('#results li:first-child .name')).toBe(`class ${top}`);

      await page.setInputFiles('#file', {
        name: 'no.png',
        mimeType: 'image/png',
        buffer: Buffer.from('no'),
      });
      await expect.poll(() => page.textContent('#status')).toMatch(/cannot read this file/);
      expect({ elsewhere, problems }).toEqual({ elsewhere: [], problems: [] });
      await page.close();
    } finally {
      child.removeAllListeners('exit');
      child.kill();
    }
  });
});

async function logitsInNode(model: string, picture: string, normalise: boolean): Promise<number[]> {
  const { data, info } = await sharp(picture)
    .removeAlpha()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true });
  const plane = info.width * info.height;
  const pixels = Float32Array.from({ length: 3 * plane }, (_, i) => {
    const channel = Math.trunc(i / plane);
    const value = data[(i % plane) * 3 + channel] / 255;
    return normalise ? (value - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel] : value;
  });
  const session = await InferenceSession.create(model);
  const { logits } = await session.run({
    pixels: new Tensor('float32', pixels, [1, 3, info.height, info.width]),
  });
  await session.release();
  return [...(logits.data as Float32Array)];
}
