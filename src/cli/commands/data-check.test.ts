import { cpSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { testFolder } from '../../../test/fixtures/data-fixture.js';
import { InputError } from '../../base/errors.js';
import { dataCheck } from './data-check.js';

const folder = testFolder();
const at = (name: string) => join(folder.path, name);

beforeEach(async () => {
  for (const [seed, name] of [
    'train/cat/0.png',
    'train/cat/1.png',
    'train/dog/0.png',
    'val/cat/0.png',
    'val/dog/0.png',
  ].entries()) {
    const background = { r: 40 * seed, g: 0, b: 0 };
    folder.write(
      name,
      await sharp({ create: { width: 12, height: 8, channels: 3, background } })
        .png()
        .toBuffer(),
    );
  }
});
afterEach(() => {
  process.exitCode = undefined;
  vi.restoreAllMocks();
});

async function checked(
  options: { json?: true } = {},
): Promise<{ stdout: string; exitCode: typeof process.exitCode }> {
  let stdout = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    stdout += text;
    return true;
  });
  await dataCheck(folder.path, options);
  vi.restoreAllMocks();
  return { stdout, exitCode: process.exitCode };
}

describe('no problems', () => {
  test('counts, sizes and time; exit 0', async () => {
    const { stdout, exitCode } = await checked();
    expect(exitCode).toBeUndefined();
    expect(stdout.split('\n').map((line) => line.trimEnd())).toEqual([
      expect.stringMatching(/^data +.+, folder$/),
      'train         3 images of 2 classes',
      '  of a class  from 1 (dog) to 2 (cat), median 2',
      '  width       12 px',
      '  height      8 px',
      'val           2 images of 2 classes',
      '  of a class  1 each',
      '  width       12 px',
      '  height      8 px',
      expect.stringMatching(/^time +\d.* s, [\d.,]+ images\/s$/),
      '',
      'No problem found.',
      '',
    ]);
  });

  test('as JSON', async () => {
    const { stdout, exitCode } = await checked({ json: true });
    expect(exitCode).toBeUndefined();
    expect(JSON.parse(stdout)).toMatchObject({
      data: folder.path,
      format: 'folder',
      parts: { train: { images: 3, classes: 2 }, val: { images: 2 } },
      problems: [],
      seconds: expect.any(Number),
    });
  });
});

describe('problems: exit 1', () => {
  beforeEach(() => {
    cpSync(at('train/cat/0.png'), at('val/cat/9.png'));
    for (let i = 10; i < 35; i++) folder.write(`train/dog/${i}.png`, 'no image');
  });

  test('problems by kind, not all of many', async () => {
    const { stdout, exitCode } = await checked();
    expect(exitCode).toBe(1);
    expect(stdout).toContain('28 images of 2 classes, 25 of them unreadable');
    const lines = stdout.slice(stdout.indexOf('problem: ')).split('\n');
    expect(lines[0]).toBe('problem: unreadable images: 25');
    expect(lines[1]).toMatch(new RegExp(`^  ${at('train/dog/10.png')}: .*not an image but text`));
    expect(lines.slice(21)).toEqual([
      '  and 5 more: --json lists all',
      'problem: images in both train and val: 1',
      `  2 images with the same bytes, in train and in val: ${at('train/cat/0.png')}, ${at('val/cat/9.png')}`,
      '',
    ]);
  });

  test('all problems as JSON', async () => {
    const { stdout, exitCode } = await checked({ json: true });
    expect(exitCode).toBe(1);
    const { problems } = JSON.parse(stdout);
    expect(problems.length).toBe(26);
    expect(problems[25]).toEqual({
      kind: 'leak',
      images: [at('train/cat/0.png'), at('val/cat/9.png')],
      detail: '2 images with the same bytes, in train and in val',
    });
  });
});

test('no data is an InputError', async () => {
  await expect(dataCheck(at('none'), {})).rejects.toThrow(InputError);
});
