import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { libjpeg, needs } from '../../test/needs.js';
import {
  closeImages,
  type ImageJob,
  jpegDecoder,
  liveImages,
  openImages,
  runImages,
  setImageThreads,
} from './images.js';

const { files } = JSON.parse(readFileSync(new URL('../../test/fixtures/jpeg.json', import.meta.url), 'utf8'));
const jpeg = Buffer.from(files[0].file, 'base64');

let folder: string;
let photo: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'images-'));
  photo = written('photo.jpg', jpeg);
  setImageThreads(2);
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => expect(liveImages()).toBe(0));

function written(name: string, bytes: Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

const NOTHING = new Float64Array(0);

/** 2 x 3 pixels. */
function raw(channels: 1 | 3, slot: number, program = NOTHING): ImageJob {
  const pixels = Uint8Array.from({ length: 6 * channels }, (_, i) => 10 * slot + i);
  return { pixels, width: 2, height: 3, channels, program, slot };
}

describe('openImages', () => {
  test('returns an entry for each, in order: its format, or why it cannot be read', async () => {
    const text = written('text.jpg', Buffer.from('hello'));
    mkdirSync(join(folder, 'folder.jpg'));
    const opened = await openImages([
      { file: join(folder, 'none.jpg') },
      { file: text },
      { file: join(folder, 'folder.jpg') },
      { file: text, start: 1, bytes: 3 },
      { file: text, start: 1, bytes: 5 },
      { file: text, start: -1, bytes: 2 },
      { file: written('empty.jpg', new Uint8Array(0)) },
      { file: '/dev/null' },
    ]);
    expect(opened).toEqual([
      { error: 'No such file or directory' },
      { bytes: Buffer.from('hello') },
      { error: 'Is a directory' },
      { bytes: Buffer.from('ell') },
      { error: 'truncated' },
      { error: 'truncated' },
      { bytes: Buffer.alloc(0) },
      { error: 'not a file' },
    ]);
    expect(await openImages([])).toEqual([]);
  });

  test('keeps JPEGs until they are run or closed', needs(libjpeg(jpegDecoder())), async () => {
    const whole = written('behind.bin', Buffer.concat([Buffer.from('..'), jpeg, Buffer.from('.')]));
    const opened = await openImages([{ file: photo }, { file: whole, start: 2, bytes: jpeg.length }]);
    const handles = opened.map((each) => ('handle' in each ? each.handle : -1));
    expect(opened).toEqual(handles.map((handle) => ({ handle, width: 70, height: 53, orientation: 1 })));
    expect(liveImages()).toBe(2);
    closeImages([handles[0], handles[0]]);
    expect(liveImages()).toBe(1);
    const into = new Uint8Array(3 * 53 * 70);
    const run = () =>
      runImages(
        [{ handle: handles[1], program: NOTHING, slot: 0 }],
        { channels: 3, height: 53, width: 70 },
        into,
      );
    expect(await run()).toEqual([null]);
    expect(() => run()).toThrow(`image ${handles[1]} is not open`);
  });
});

describe('runImages', () => {
  test('writes pixels into their slots, planar, grey as one channel', async () => {
    const grey = new Uint8Array(12);
    const shape = { channels: 1, height: 3, width: 2 };
    expect(await runImages([raw(1, 1), raw(1, 0)], shape, grey)).toEqual([null, null]);
    expect([...grey]).toEqual([0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]);
    const rgb = new Uint8Array(18);
    await runImages([raw(3, 0)], { channels: 3, height: 3, width: 2 }, rgb);
    expect([...rgb]).toEqual([0, 3, 6, 9, 12, 15, 1, 4, 7, 10, 13, 16, 2, 5, 8, 11, 14, 17]);
  });

  test('a failed program is reported for its image only', async () => {
    const unknown = raw(1, 0, Float64Array.of(99));
    const cropped = raw(1, 1, Float64Array.of(0, 0, 0, 1, 1));
    const into = new Uint8Array(18);
    const errors = await runImages([unknown, cropped, raw(1, 2)], { channels: 1, height: 3, width: 2 }, into);
    expect(errors).toEqual([expect.any(String), 'became 1 x 1 grey, not 2 x 3 grey', null]);
    expect([...into]).toEqual([...new Uint8Array(12), 20, 21, 22, 23, 24, 25]);
  });

  test.each<[string, Partial<Record<keyof ImageJob | 'pixels' | 'width' | 'channels', unknown>>, RegExp]>([
    ['a slot outside the batch', { slot: 2 }, /slot 2 is outside/],
    ['fewer pixels than its size', { pixels: new Uint8Array(5) }, /2 x 3 grey of 5 bytes/],
    ['pixels of another kind', { pixels: new Float32Array(6) }, /expected a Uint8Array/],
    ['no pixels', { width: 0 }, /0 is no size/],
    ['two channels', { channels: 2 }, /2 channels/],
    ['a program of another kind', { program: [1] }, /expected a Float64Array/],
  ])('refuses %s', (_, change, message) => {
    const job = { ...raw(1, 0), ...change } as ImageJob;
    const shape = { channels: 1, height: 3, width: 2 };
    expect(() => runImages([raw(1, 0), job], shape, new Uint8Array(12))).toThrow(message);
  });
});

describe('threads', needs(libjpeg(jpegDecoder())), () => {
  test('any number gives the same result, also if it changes during the work', async () => {
    const shape = { channels: 3, height: 53, width: 70 };
    const results: Buffer[] = [];
    for (const threads of [1, 4, 2]) {
      setImageThreads(threads);
      const opened = await openImages(Array.from({ length: 40 }, () => ({ file: photo })));
      const into = new Uint8Array(40 * 3 * 53 * 70);
      const jobs = opened.map((each, slot) => ({
        handle: 'handle' in each ? each.handle : -1,
        program: slot % 2 === 0 ? NOTHING : Float64Array.of(2),
        slot,
      }));
      const running = runImages(jobs, shape, into);
      setImageThreads(5 - threads);
      expect(await running).toEqual(jobs.map(() => null));
      results.push(Buffer.from(into));
    }
    expect(results[1].equals(results[0])).toBe(true);
    expect(results[2].equals(results[0])).toBe(true);
    expect(() => setImageThreads(0)).toThrow(/0 threads/);
  });

  const script = new URL('../../test/fixtures/image-thread.mjs', import.meta.url);

  test('a worker thread has its own threads, which end with it', async () => {
    const worker = new Worker(script, { workerData: ['wait', photo] });
    const exit = once(worker, 'exit');
    const [message] = await once(worker, 'message');
    expect(message).toEqual({ length: 2000, live: 2000 });
    expect(await exit).toEqual([0]);
  });

  test('a worker that is terminated does not affect others', async () => {
    for (let i = 0; i < 5; i++) {
      const worker = new Worker(script, { workerData: ['wait', photo] });
      await once(worker, 'online');
      await worker.terminate();
    }
    expect(await openImages([{ file: photo, start: 0, bytes: 1 }])).toEqual([{ bytes: jpeg.subarray(0, 1) }]);
  });

  test.each([
    ['wait', { length: 2000, live: 2000 }],
    ['idle', { length: 2000, live: 2000 }],
    ['exit', undefined],
  ])('a process ends when its work is done (%s)', (how, message) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(script), how, photo], {
      encoding: 'utf8',
      timeout: 30_000,
    });
    expect(stderr).toBe('');
    expect(stdout && JSON.parse(stdout)).toEqual(message ?? '');
    expect(status).toBe(0);
  });
});
