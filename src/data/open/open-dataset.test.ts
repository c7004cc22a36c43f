import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { cifarRecords, failure, fixture, testFolder, unpacked } from '../../../test/fixtures/data-fixture.js';
import type { DataFormat } from '../formats/formats.js';
import { dataFormatOf, openDataset, openEvalDataset } from './open-dataset.js';

const folder = testFolder();
afterEach(() => void vi.unstubAllEnvs());

function idx(shape: number[]): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt32BE(0x800 + shape.length, 0);
  for (const [i, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * i);
  return Buffer.concat([header, Buffer.alloc(shape.reduce((product, size) => product * size, 1))]);
}

/** Writes a data set; gives how many images train and val have, and of how many classes. */
const WRITERS: Readonly<Record<DataFormat, () => [train: number, val: number, classes: number]>> = {
  'fashion-mnist': () => {
    for (const [part, count] of [
      ['train', 3],
      ['t10k', 2],
    ] as const) {
      folder.write(`${part}-images-idx3-ubyte.gz`, gzipSync(idx([count, 2, 2])));
      folder.write(`${part}-labels-idx1-ubyte`, idx([count]));
    }
    return [3, 2, 10];
  },
  folder: () => {
    for (const name of ['train/a/1.png', 'train/b/1.png', 'train/b/2.JPEG', 'val/a/1.png', 'val/b/1.jpg']) {
      folder.write(name, '');
    }
    return [3, 2, 2];
  },
  shards: () => {
    vi.stubEnv('DEEP_INCUBATION_CACHE', join(folder.path, '.cache'));
    for (const { name, tar } of fixture.shards) folder.write(name, unpacked(tar));
    return [8, 3, 3];
  },
  'cifar-10': () => {
    for (let i = 1; i <= 5; i++) folder.write(`data_batch_${i}.bin`, cifarRecords(i, [10]));
    folder.write('test_batch.bin', cifarRecords(6, [10], 2));
    return [15, 2, 10];
  },
  'cifar-100': () => {
    folder.write('cifar-100-binary/train.bin', cifarRecords(7, [20, 100]));
    folder.write('cifar-100-binary/test.bin', cifarRecords(8, [20, 100], 2));
    return [3, 2, 100];
  },
  'inaturalist-2018': () => writeInaturalist(2018),
  'inaturalist-2019': () => writeInaturalist(2019),
};

function writeInaturalist(year: number): [number, number, number] {
  const { categories, files, labels } = fixture.inaturalist;
  folder.write('categories.json', JSON.stringify(categories));
  for (const [split, content] of Object.entries(files)) {
    folder.write(`${split}${year}.json`, JSON.stringify(content));
    folder.write(content.images[0].file_name, '');
  }
  return [files.train.images.length, files.val.images.length, labels.name.classes.length];
}

describe.each(Object.entries(WRITERS) as [DataFormat, (typeof WRITERS)[DataFormat]][])(
  '%s',
  (format, write) => {
    test('is recognised and opened, both parts or the one to evaluate on', () => {
      const [images, evalImages, classes] = write();
      expect(dataFormatOf(folder.path)).toBe(format);
      const { train, val } = openDataset({ format, path: folder.path, modelClasses: classes });
      expect([train.length, val.length]).toEqual([images, evalImages]);
      expect(val.classes).toEqual(train.classes);
      expect(train.classes.length).toBe(classes);
      const { dataset: evaluated } = openEvalDataset(folder.path, { model: { count: classes } });
      expect(evaluated.length).toBe(evalImages);
      expect(evaluated.describe(0)).toBe(val.describe(0));
      expect(evaluated.classes).toEqual(val.classes);
    });

    test('of other classes than the model', () => {
      const [, , classes] = write();
      const options = { format, path: folder.path, modelClasses: classes - 1 };
      expect(failure(() => openDataset(options)).message).toMatch(/classes/);
      expect(failure(() => openEvalDataset(folder.path, { model: { count: classes - 1 } })).message).toMatch(
        /classes/,
      );
    });
  },
);

describe('what is told', () => {
  test("iNaturalist's category", () => {
    writeInaturalist(2018);
    const { classes } = fixture.inaturalist.labels.order;
    const options = { path: folder.path, modelClasses: classes.length, category: 'order' } as const;
    expect(openDataset({ format: 'inaturalist-2018', ...options }).val.classes).toEqual(classes);
    expect(
      openEvalDataset(folder.path, { model: { count: classes.length }, category: 'order' }).dataset.classes,
    ).toEqual(classes);
  });

  test('nothing of the model: any number of classes', () => {
    WRITERS.folder();
    expect(openDataset({ format: 'folder', path: folder.path }).train.length).toBe(3);
  });

  test('no path, which Fashion-MNIST alone can do without', () => {
    expect(failure(() => openDataset({ format: 'folder' })).message).toMatch(/format folder without a path/);
    vi.stubEnv('DEEP_INCUBATION_CACHE', folder.path);
    expect(failure(() => openDataset({ format: 'fashion-mnist' })).message).toContain(
      join(folder.path, 'fashion-mnist'),
    );
  });
});

describe('a folder', () => {
  test('that is none', () => {
    expect(failure(() => dataFormatOf(join(folder.path, 'none'))).message).toMatch(/none does not exist/);
    expect(failure(() => dataFormatOf(folder.write('file', ''))).message).toMatch(/file is no folder/);
  });

  test('of two data sets', () => {
    writeInaturalist(2018);
    writeInaturalist(2019);
    expect(failure(() => openEvalDataset(folder.path, { model: { count: 10 } })).message).toMatch(
      /more than one data set: inaturalist-2018 and inaturalist-2019/,
    );
  });

  test('with the archives it was unpacked from', () => {
    WRITERS.folder();
    folder.write('ILSVRC2012_img_train.tar', '');
    folder.write('val/ILSVRC2012_img_val.tar', '');
    expect(dataFormatOf(folder.path)).toBe('folder');
    expect(dataFormatOf(join(folder.path, 'val'))).toBe('folder');
    writeInaturalist(2018);
    expect(dataFormatOf(folder.path)).toBe('inaturalist-2018');
  });

  test('of classes alone, or of nothing', () => {
    WRITERS.folder();
    expect(openEvalDataset(join(folder.path, 'val'), { model: { count: 2 } }).dataset.length).toBe(2);
    mkdirSync(join(folder.path, 'empty'));
    expect(
      failure(() => openEvalDataset(join(folder.path, 'empty'), { model: { count: 2 } })).message,
    ).toMatch(/holds no image/);
  });

  test('with one part of what training needs is enough to evaluate on', () => {
    folder.write('test_batch.bin', cifarRecords(6, [10], 2));
    expect(openEvalDataset(folder.path, { model: { count: 10 } }).dataset.length).toBe(2);
    expect(failure(() => openDataset({ format: 'cifar-10', path: folder.path })).message).toMatch(
      /data_batch_1/,
    );
  });
});
