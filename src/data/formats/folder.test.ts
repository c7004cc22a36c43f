import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { fixture } from '../../../test/fixtures/data-fixture.js';
import { InputError } from '../../base/errors.js';
import { checkData } from '../check/data-check.js';
import type { Dataset } from '../dataset.js';
import { evalBatches } from '../loader/loader.js';
import { evalFolder, imageFolder, imageFolders } from './folder.js';

const golden = fileURLToPath(new URL('../../../test/golden/png', import.meta.url));

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'folder-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** Writes empty files; they are not decoded. */
function touch(...files: string[]): void {
  for (const file of files) {
    mkdirSync(join(root, file, '..'), { recursive: true });
    writeFileSync(join(root, file), '');
  }
}

function contents(dataset: Dataset): [string, number][] {
  return Array.from({ length: dataset.length }, (_, i) => [
    dataset.describe(i).slice(root.length + 1),
    dataset.label(i),
  ]);
}

async function firstImage(dataset: Dataset): Promise<Uint8Array | undefined> {
  for await (const { images } of evalBatches({ dataset, batchSize: 1 })) return images;
  return undefined;
}

function failure(work: () => unknown): InputError {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error;
    throw error;
  }
  throw new Error('no error was thrown');
}

describe('one folder per class', () => {
  test('sorted classes and files; hidden and other files are skipped', () => {
    touch(
      'dog/2.PNG',
      'dog/10.jpeg',
      'cat/a.jpg',
      'cat/.hidden.png',
      'cat/notes.txt',
      '.git/x.png',
      'readme.md',
    );
    const dataset = imageFolder(root);
    expect(dataset.classes).toEqual(['cat', 'dog']);
    expect(contents(dataset)).toEqual([
      ['cat/a.jpg', 0],
      ['dog/10.jpeg', 1],
      ['dog/2.PNG', 1],
    ]);
  });

  test('links to folders are folders', () => {
    touch('a/1.png');
    symlinkSync(join(root, 'a'), join(root, 'b'));
    expect(imageFolder(root).classes).toEqual(['a', 'b']);
  });

  test('returns the path of an image', () => {
    touch('a/1.png');
    expect(imageFolder(root).source(0)).toEqual({ file: join(root, 'a/1.png') });
  });

  test('classes, labels and order equal torchvision’s, also for nested folders and any Unicode name', () => {
    const { files, classes, samples } = fixture.folder;
    touch(...files);
    const dataset = imageFolder(root);
    expect(dataset.classes).toEqual(classes);
    expect(contents(dataset)).toEqual(samples);
  });

  test('links inside a class are images if they have an image’s extension; cycles of folders are not followed', () => {
    touch('a/1.png', 'elsewhere.png');
    symlinkSync(join(root, 'a'), join(root, 'a/again'));
    symlinkSync(join(root, 'elsewhere.png'), join(root, 'a/2.png'));
    expect(contents(imageFolder(root))).toEqual([
      ['a/1.png', 0],
      ['a/2.png', 0],
    ]);
  });

  test.each([
    ['a Latin-1 file', 'cat', 'caf\xe9.png', 'cat', 'caf\\xE9.png'],
    ['a Shift JIS class', '\x83e\x83X', '1.png', '\\x83e\\x83X', '1.png'],
    ['GBK both', '\xc3\xa8', '\xb9\xb7.png', '\u00e8', '\\xB9\\xB7.png'],
  ])(
    '%s: a name that is not UTF-8 works, and is shown escaped',
    async (_, folderName, file, shown, shownFile) => {
      const bytes = (name: string) => Buffer.from(name, 'latin1');
      const slash = Buffer.from('/');
      const inside = Buffer.concat([Buffer.from(root), slash, bytes(folderName)]);
      mkdirSync(inside);
      const content = readFileSync(join(golden, '00_y0.png'));
      writeFileSync(Buffer.concat([inside, slash, bytes(file)]), content);
      const dataset = imageFolder(root);
      expect(dataset.classes).toEqual([shown]);
      expect(dataset.describe(0)).toBe(join(root, shown, shownFile));
      expect(await firstImage(dataset)).toEqual(await firstImage(imageFolder(golden)));
      expect((await checkData(root)).problems).toEqual([]);
    },
  );

  test('an empty class may be allowed', () => {
    touch('cat/a.jpg', 'dog/notes.txt', 'emu/a.jpg');
    const dataset = imageFolder(root, {}, { emptyClasses: true });
    expect(dataset.classes).toEqual(['cat', 'dog', 'emu']);
    expect(contents(dataset)).toEqual([
      ['cat/a.jpg', 0],
      ['emu/a.jpg', 2],
    ]);
  });

  test('an empty class is named', () => {
    touch('cat/a.jpg', 'dog/notes.txt');
    expect(failure(() => imageFolder(root)).message).toContain(join(root, 'dog'));
  });

  test('a missing folder is named', () => {
    expect(failure(() => imageFolder(join(root, 'none'))).message).toContain(join(root, 'none'));
    touch('file.png');
    expect(failure(() => imageFolder(join(root, 'file.png'))).message).toContain('file.png');
  });
});

describe('labels', () => {
  const labels = (...args: Parameters<typeof imageFolder>) =>
    contents(imageFolder(...args)).map(([, y]) => y);

  test('from a given list, by name', () => {
    touch('dog/1.png', 'ant/1.png');
    const classes = ['cat', 'dog', 'ant'];
    expect(labels(root, { classes })).toEqual([2, 1]);
    expect(imageFolder(root, { classes }).classes).toEqual(classes);
    expect(failure(() => imageFolder(root, { classes: ['cat', 'dog'] })).message).toContain(
      join(root, 'ant'),
    );
    expect(failure(() => imageFolder(root, { classes, modelClasses: 10 })).message).toMatch(/3 classes.* 10/);
  });

  test('are positions in sorted order, also for numbers, and only if all classes have a folder', () => {
    touch('0_tshirt/1.png', '9_boot/1.png', '10/1.png');
    expect(labels(root)).toEqual([0, 1, 2]);
    expect(imageFolder(root).classes).toEqual(['0_tshirt', '10', '9_boot']);
    expect(labels(root, { modelClasses: 3 })).toEqual([0, 1, 2]);
    for (const modelClasses of [2, 10, 11]) {
      const { message } = failure(() => imageFolder(root, { modelClasses }));
      expect(message).toContain(`3 classes, but the model has ${modelClasses}`);
    }
  });

  test('do not depend on the Unicode form of the names', () => {
    // Decomposed, the first sorts before the second; composed after it.
    const names = ['e\u0301tage', 'fa'];
    touch(...names.map((name) => `${name}/1.png`));
    expect(imageFolder(root).classes).toEqual(['fa', '\u00e9tage']);
    expect(labels(root)).toEqual([1, 0]);
    expect(labels(root, { classes: ['\u00e9tage', 'fa'] })).toEqual([0, 1]);
  });

  test('two folders whose names differ only in Unicode normalisation are named', () => {
    touch('caf\u00e9/1.png', 'cafe\u0301/1.png');
    for (const known of [{}, { classes: ['caf\u00e9'] }]) {
      expect(failure(() => imageFolder(root, known)).message).toContain(
        String.raw`"cafe\u0301" and "caf\u00e9" are the same class name`,
      );
    }
  });
});

describe('a flat folder', () => {
  test('labels from the names of the golden images', () => {
    const dataset = imageFolder(golden, { modelClasses: 10 });
    expect(dataset.length).toBe(16);
    expect(dataset.classes.length).toBe(10);
    for (let i = 0; i < 16; i++) {
      expect(dataset.describe(i)).toMatch(
        new RegExp(`/${String(i).padStart(2, '0')}_y${dataset.label(i)}.png$`),
      );
    }
    expect(imageFolder(golden).classes.length).toBe(10);
  });

  test('labels beyond the model’s classes are errors', () => {
    expect(failure(() => imageFolder(golden, { modelClasses: 9 })).message).toMatch(/_y9.png: label 9/);
  });

  test('without labels the error names both layouts', () => {
    touch('a_y1.png', 'b.png');
    const error = failure(() => imageFolder(root));
    expect(error.message).toContain(join(root, 'b.png'));
    expect(error.hint).toMatch(/subfolder.*_y<label>/);
  });

  test("ImageNet's validation images in their published layout are recognised, and the hint says what to do", () => {
    touch('val/ILSVRC2012_val_00000001.JPEG', 'val/ILSVRC2012_val_00000002.JPEG', 'train/n01/a.JPEG');
    const error = failure(() => imageFolders(root));
    expect(error.message).toMatch(/val: ImageNet's validation images without class folders/);
    expect(error.hint).toMatch(/valprep\.sh/);
    expect(failure(() => evalFolder(root, 1)).message).toBe(error.message);
  });

  test('without images too', () => {
    touch('notes.txt');
    expect(failure(() => imageFolder(root)).message).toMatch(/contains no images/);
  });
});

describe('pairs', () => {
  test.each(['val', 'validation', 'valid', 'Val', 'VALIDATION'])('train and %s', (name) => {
    touch('train/a/1.png', 'train/b/1.png', `${name}/b/2.png`);
    const { train, val } = imageFolders(root);
    expect(contents(train).map(([, y]) => y)).toEqual([0, 1]);
    expect(contents(val)).toEqual([[`${name}/b/2.png`, 1]]);
    expect(val.classes).toEqual(train.classes);
  });

  test('what is missing is named', () => {
    touch('train/a/1.png');
    expect(failure(() => imageFolders(root)).message).toMatch(
      /no folder named val, valid or validation: it has train/,
    );
    expect(failure(() => imageFolders(join(root, 'none'))).message).toMatch(/none does not exist/);
    expect(failure(() => imageFolders(join(root, 'train'))).message).toMatch(
      /no folder named train or training: it has no splits/,
    );
    touch('val/c/1.png');
    expect(failure(() => imageFolders(root)).message).toContain(join(root, 'val/c'));
  });

  test('evaluation uses val if there is one', () => {
    touch('val/0/1.png', 'val/1/1.png', 'train/0/1.png');
    expect(contents(evalFolder(root, 2)).map(([file]) => file)).toEqual(['val/0/1.png', 'val/1/1.png']);
    expect(contents(evalFolder(join(root, 'train'), 2, ['1', '0']))).toEqual([['train/0/1.png', 1]]);
    expect(failure(() => evalFolder(join(root, 'train'), 2)).message).toMatch(
      /has 1 class, but the model has 2/,
    );
  });

  test('evaluation uses the labels of train if the model has no names and val lacks classes', () => {
    touch('val/b/1.png', 'train/a/1.png', 'train/b/1.png');
    expect(contents(evalFolder(root, 2))).toEqual([['val/b/1.png', 1]]);
    touch('val/c/1.png', 'train/a/1.png', 'train/b/1.png');
    expect(contents(evalFolder(root, 2))).toEqual([
      ['val/b/1.png', 0],
      ['val/c/1.png', 1],
    ]);
  });

  test('a class may be called test', () => {
    touch('test/1.png', 'best/1.png');
    expect(evalFolder(root, 2).classes).toEqual(['best', 'test']);
  });
});
