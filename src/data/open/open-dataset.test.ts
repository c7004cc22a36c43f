import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  cifarRecords,
  failure,
  fixture,
  tarOf,
  testFolder,
  unpacked,
} from '../../../test/fixtures/data-fixture.js';
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

/** A CSV file is not a folder; see csv.test.ts. */
type FolderFormat = Exclude<DataFormat, 'csv'>;

/** Writes a data set; gives how many images train and val have, and of how many classes. */
const WRITERS: Readonly<Record<FolderFormat, () => [train: number, val: number, classes: number]>> = {
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
  coco: () => {
    for (const [part, ids] of [
      ['train2017', [4, 5, 6]],
      ['val2017', [8]],
    ] as const) {
      for (const id of ids) folder.write(`${part}/${id}.png`, '');
      const annotations = ids.map((id) => ({
        id,
        image_id: id,
        category_id: 3,
        bbox: [0, 0, 9, 9],
        area: 81,
        segmentation: [[0, 0, 9, 0, 9, 9, 0, 9]],
      }));
      const images = ids.map((id) => ({ id, width: 40, height: 50, file_name: `${id}.png` }));
      const categories = ['a', 'b'].map((name, i) => ({ id: 3 + i, name }));
      folder.write(`annotations/instances_${part}.json`, JSON.stringify({ images, categories, annotations }));
    }
    return [3, 1, 2];
  },
  ade20k: () => {
    const header = 'Idx\tRatio\tTrain\tVal\tStuff\tName';
    folder.write(
      'objectInfo150.txt',
      `${header}\n1\t0.1\t2\t1\t\t0\t\twall\n2\t0.1\t2\t1\t\t0\t\tsky, air\n`,
    );
    for (const name of ['training/1', 'training/2', 'validation/1']) {
      folder.write(`images/${name}.jpg`, '');
      folder.write(`annotations/${name}.png`, '');
    }
    return [2, 1, 2];
  },
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

describe.each(Object.entries(WRITERS) as [FolderFormat, (typeof WRITERS)[FolderFormat]][])(
  '%s',
  (format, write) => {
    test('is recognised and opened, both parts or the evaluation part', () => {
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

    test('with other classes than the model', () => {
      const [, , classes] = write();
      const options = { format, path: folder.path, modelClasses: classes - 1 };
      expect(failure(() => openDataset(options)).message).toMatch(/classes/);
      expect(failure(() => openEvalDataset(folder.path, { model: { count: classes - 1 } })).message).toMatch(
        /classes/,
      );
    });
  },
);

describe('values that the model states', () => {
  test("iNaturalist's category", () => {
    writeInaturalist(2018);
    const { classes } = fixture.inaturalist.labels.order;
    const options = { path: folder.path, modelClasses: classes.length, category: 'order' } as const;
    expect(openDataset({ format: 'inaturalist-2018', ...options }).val.classes).toEqual(classes);
    expect(
      openEvalDataset(folder.path, { model: { count: classes.length }, category: 'order' }).dataset.classes,
    ).toEqual(classes);
  });

  test('nothing: any number of classes', () => {
    WRITERS.folder();
    expect(openDataset({ format: 'folder', path: folder.path }).train.length).toBe(3);
  });

  test('no path, which only Fashion-MNIST does not need', () => {
    expect(failure(() => openDataset({ format: 'folder' })).message).toMatch(/format folder needs a path/);
    vi.stubEnv('DEEP_INCUBATION_CACHE', folder.path);
    expect(failure(() => openDataset({ format: 'fashion-mnist' })).message).toContain(
      join(folder.path, 'fashion-mnist'),
    );
  });
});

describe('a folder', () => {
  test('that is not a data set', () => {
    expect(failure(() => dataFormatOf(join(folder.path, 'none'))).message).toMatch(/none does not exist/);
    expect(failure(() => dataFormatOf(folder.write('file', ''))).message).toMatch(/file is not a folder/);
  });

  test('with two data sets', () => {
    writeInaturalist(2018);
    writeInaturalist(2019);
    expect(failure(() => openEvalDataset(folder.path, { model: { count: 10 } })).message).toMatch(
      /more than one data set: inaturalist-2018 and inaturalist-2019/,
    );
  });

  test('with the archives that it was unpacked from', () => {
    WRITERS.folder();
    folder.write('ILSVRC2012_img_train.tar', '');
    folder.write('val/ILSVRC2012_img_val.tar', '');
    expect(dataFormatOf(folder.path)).toBe('folder');
    expect(dataFormatOf(join(folder.path, 'val'))).toBe('folder');
    writeInaturalist(2018);
    expect(dataFormatOf(folder.path)).toBe('inaturalist-2018');
  });

  test('with classes only, or empty', () => {
    WRITERS.folder();
    expect(openEvalDataset(join(folder.path, 'val'), { model: { count: 2 } }).dataset.length).toBe(2);
    mkdirSync(join(folder.path, 'empty'));
    expect(
      failure(() => openEvalDataset(join(folder.path, 'empty'), { model: { count: 2 } })).message,
    ).toMatch(/contains no images/);
  });

  test('with only one part is enough for evaluation', () => {
    folder.write('test_batch.bin', cifarRecords(6, [10], 2));
    expect(openEvalDataset(folder.path, { model: { count: 10 } }).dataset.length).toBe(2);
    expect(failure(() => openDataset({ format: 'cifar-10', path: folder.path })).message).toMatch(
      /data_batch_1/,
    );
  });
});

describe('images for a model that names its classes', () => {
  const named = (names: readonly string[]) => ({
    count: names.length,
    named: { names, from: 'FT' },
    isCertain: true,
  });
  const open = (names: readonly string[], split?: 'train') =>
    openEvalDataset(folder.path, { model: named(names), split });
  const labelsOf = ({ dataset }: ReturnType<typeof open>) =>
    Array.from({ length: dataset.length }, (_, i) => dataset.classes[dataset.label(i)]);

  const CIFAR = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'];
  const CIFAR_100 = Array.from({ length: 100 }, (_, i) => `fine ${String(i).padStart(3, '0')}`);

  describe.each([
    ['cifar-10', CIFAR, 'batches.meta.txt'],
    ['cifar-100', CIFAR_100, 'cifar-100-binary/fine_label_names.txt'],
  ] as const)('%s', (format, names, file) => {
    beforeEach(() => {
      WRITERS[format]();
    });

    test('with its names: labels are mapped by name, whatever the model’s order', () => {
      folder.write(file, `${names.join('\n')}\n\n`);
      const inOrder = open(names);
      const reversed = open([...names].reverse());
      expect(labelsOf(reversed)).toEqual(labelsOf(inOrder));
      const last = names.length - 1;
      expect(reversed.dataset.label(0)).toBe(last - inOrder.dataset.label(0));
      expect([inOrder.assumptions, reversed.assumptions]).toEqual([[], []]);
    });

    test('with names that the model does not know: they are listed and refused', () => {
      folder.write(file, names.join('\n'));
      const [first] = labelsOf(open(names));
      const others = names.map((name) => (name === first ? 'kite' : name));
      const { message, hint } = failure(() => open(others));
      expect(message).toBe(`${first}: unknown class name`);
      expect(hint).toContain(`The ${names.length} classes of FT are`);
    });

    test('of some of the model’s classes', () => {
      folder.write(file, names.join('\n'));
      const more = open(['kite', ...names]);
      expect(labelsOf(more)).toEqual(labelsOf(open(names)));
      expect(more.missing).toContain('kite');
    });

    test('without names: the mapping by number is printed, and refused if the counts differ', () => {
      const { dataset, assumptions } = open([...names].reverse());
      expect(assumptions).toHaveLength(1);
      expect(assumptions[0]).toContain(`are the model's: 0 = ${names.at(-1)}`);
      expect(dataset.classes).toEqual([...names].reverse());
      const { message } = failure(() => open(['kite', ...names]));
      expect(message).toContain(`has ${names.length} classes, but the model has ${names.length + 1}`);
    });
  });

  describe('IDX, which is Fashion-MNIST and so has names', () => {
    const published = () => openEvalDataset(folder.path, { model: { count: 10 } }).dataset.classes;

    beforeEach(() => {
      WRITERS['fashion-mnist']();
    });

    test('labels are mapped by name, whatever the order and number of the model’s classes', () => {
      const reversed = open([...published()].reverse());
      expect(reversed.dataset.label(0)).toBe(9);
      expect(labelsOf(reversed)).toEqual(['T-shirt/top', 'T-shirt/top']);
      expect(labelsOf(open(['Hat', ...published()]))).toEqual(['T-shirt/top', 'T-shirt/top']);
      expect(reversed.assumptions).toEqual([]);
    });

    test('names that the model does not know are refused', () => {
      const digits = Array.from({ length: 10 }, (_, i) => `digit ${i}`);
      expect(failure(() => open(digits)).message).toBe('T-shirt/top: unknown class name');
    });

    test('for a model without names the order is printed, and another number of classes refused', () => {
      const evaluated = (count: number) => openEvalDataset(folder.path, { model: { count } });
      expect(evaluated(10).assumptions[0]).toContain('0 = T-shirt/top, 1 = Trouser, ');
      expect(failure(() => evaluated(9)).message).toContain('has 10 classes, but the model has 9');
      expect(failure(() => evaluated(11)).message).toContain('has 10 classes, but the model has 11');
    });
  });

  describe('shards whose labels are names', () => {
    const SAMPLES = ['cat', 'ant', 'bee', 'cat'];

    const write = (names: readonly string[], list?: readonly string[]) => {
      vi.stubEnv('DEEP_INCUBATION_CACHE', join(folder.path, '.cache'));
      const files = names.flatMap((name, i): [string, string][] => [
        [`${i}.jpg`, 'x'],
        [`${i}.cls`, name],
      ]);
      folder.write('val-0.tar', tarOf(...files));
      if (list) folder.write('classes.json', JSON.stringify(list));
    };

    test('with a list of the classes: by name', () => {
      write(SAMPLES, ['bee', 'cat', 'ant']);
      const images = open(['ant', 'bee', 'cat']);
      expect(labelsOf(images)).toEqual(SAMPLES);
      expect(Array.from(SAMPLES, (_, i) => images.dataset.label(i))).toEqual([2, 0, 1, 2]);
      expect(images.assumptions).toEqual([]);
    });

    test('without a list: by the model’s names, some of which may have no image', () => {
      write(SAMPLES);
      const images = open(['dog', 'cat', 'bee', 'ant']);
      expect(Array.from(SAMPLES, (_, i) => images.dataset.label(i))).toEqual([1, 3, 2, 1]);
      expect(images).toMatchObject({ assumptions: [], missing: ['dog'] });
    });

    test.each([
      ['with a list', ['ant', 'bee', 'cat']],
      ['without one', undefined],
    ])('names that the model does not know are refused, %s', (_, list) => {
      write(SAMPLES, list);
      const { message } = failure(() => open(['ant', 'bee', 'dog']));
      expect(message).toMatch(/cat"?: unknown class name$/);
    });

    test('numbers among them are not used as labels of the model', () => {
      write(['0', 'ant']);
      expect(failure(() => open(['bee', 'ant'])).message).toContain('unknown class name');
    });
  });
});
