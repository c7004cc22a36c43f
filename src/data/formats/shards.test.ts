import { existsSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  failure,
  fixture,
  indicesOf,
  refusals,
  sha256,
  storedBytes,
  tarOf,
  testFolder,
  unpacked,
} from '../../../test/fixtures/data-fixture.js';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../../test/fixtures/mutate.js';
import type { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { KnownClasses } from '../class-names.js';
import type { Split } from '../splits.js';
import { holdsShards, shardLayout, shards } from './shards.js';

const folder = testFolder();
const cache = () => join(folder.path, 'cache');
const open = (split: Split, known?: KnownClasses) =>
  shards(folder.path, split, known, { cacheFolder: cache() });

function writeShards(rename = (name: string) => name): void {
  for (const { name, tar } of fixture.shards) folder.write(rename(name), unpacked(tar));
}

const samplesOf = (split: Split) =>
  fixture.shards.filter(({ name }) => name.startsWith(split)).flatMap(({ samples }) => samples);

describe('what WebDataset reads', () => {
  test.each(['train', 'val'] as const)('%s: the same samples in the same order', (split) => {
    writeShards();
    const dataset = open(split);
    const found = indicesOf(dataset).map((i) => ({
      key: /: (.+)\.\w+$/.exec(dataset.describe(i))?.[1],
      label: dataset.label(i),
      sha256: sha256(storedBytes(dataset, i)),
    }));
    expect(found).toEqual(samplesOf(split));
    expect(dataset.classes).toEqual(['0', '1', '2']);
    expect(dataset.describe(0)).toContain(join(folder.path, `${split}-000000.tar: `));
  });

  test.each([
    ['a prefix', (name: string) => `imagenet1k-${name.replace('val', 'validation')}`],
    ['folders', (name: string) => name.replace('-', '/')],
    ['no leading zeros, and capitals', (name: string) => name.replace('-00000', '_').replace('val', 'VALID')],
  ])('shards named with %s', (_, rename) => {
    writeShards(rename);
    expect(holdsShards(folder.path)).toBe(true);
    expect(Object.keys(shardLayout(folder.path).parts)).toEqual(['train', 'val']);
    expect([open('train').length, open('val').length]).toEqual([8, 3]);
  });

  test('shards without a part can be evaluated on', () => {
    folder.write('000000.tar', unpacked(fixture.shards[2].tar));
    expect(shardLayout(folder.path).parts).toEqual({});
    expect(open('val').length).toBe(3);
    expect(failure(() => open('train')).message).toMatch(/no tar files named train/);
  });
});

describe('classes', () => {
  test.each([
    ['classes.json', ['a', 'b', 'c']],
    ['dataset.json', { title: 'x', classes: ['a', 'b', 'c'] }],
  ])('named by %s', (name, content) => {
    writeShards();
    folder.write(name, JSON.stringify(content));
    expect(open('train').classes).toEqual(['a', 'b', 'c']);
  });

  test('as many as the model has, or as are known', () => {
    writeShards();
    expect(open('train', { modelClasses: 5 }).classes).toEqual(['0', '1', '2', '3', '4']);
    expect(open('val', { classes: ['x', 'y', 'z'] }).classes).toEqual(['x', 'y', 'z']);
  });

  test('a label beyond them is named', () => {
    writeShards();
    expect(failure(() => open('train', { modelClasses: 2 })).message).toMatch(
      /train-000000\.tar: n02\/img_0002\.JPG has label 2, but there are 2 classes/,
    );
  });

  test.each(['{', '"a"', '[1, 2]', '{"classes": 3}'])('a list of names that is %s', (content) => {
    writeShards();
    folder.write('classes.json', content);
    expect(failure(() => open('train')).message).toMatch(/classes\.json is not a list of class names/);
  });
});

describe('samples', () => {
  test.each<[string, [string, string][], RegExp]>([
    ['an image without a label', [['a.jpg', 'x']], /sample "a" has no label/],
    [
      'a label of blanks',
      [
        ['a.jpg', 'x'],
        ['a.cls', ' '],
      ],
      /"a" has a label that is not a class number/,
    ],
    [
      'a negative label',
      [
        ['a.jpg', 'x'],
        ['a.cls', '-1'],
      ],
      /not a class number/,
    ],
    [
      'a label that implies a billion classes',
      [
        ['a.jpg', 'x'],
        ['a.cls', '1000000000'],
      ],
      /not a class number/,
    ],
    [
      'a label of many bytes',
      [
        ['a.jpg', 'x'],
        ['a.cls', ' '.repeat(100)],
      ],
      /not a class number/,
    ],
    [
      'invalid JSON',
      [
        ['a.jpg', 'x'],
        ['a.json', '{'],
      ],
      /not a class number/,
    ],
    [
      'JSON without a label',
      [
        ['a.jpg', 'x'],
        ['a.json', '{"caption": "x"}'],
      ],
      /not a class number/,
    ],
    [
      'JSON with a broken label',
      [
        ['a.jpg', 'x'],
        ['a.json', '{"label": 1.5}'],
      ],
      /not a class number/,
    ],
    [
      'a label without an image',
      [
        ['a.cls', '1'],
        ['b.jpg', 'x'],
        ['b.cls', '1'],
      ],
      /"a" has a label but no image/,
    ],
    [
      'two images',
      [
        ['a.jpg', 'x'],
        ['a.png', 'x'],
      ],
      /"a" has two images/,
    ],
    [
      'two labels',
      [
        ['a.jpg', 'x'],
        ['a.cls', '1'],
        ['a.cls', '1'],
      ],
      /"a" has two labels/,
    ],
    [
      'files that do not lie beside each other',
      [
        ['a.jpg', 'x'],
        ['b.jpg', 'x'],
      ],
      /"a" has no label/,
    ],
    [
      'no sample',
      [
        ['README', 'x'],
        ['a.txt', 'x'],
      ],
      /contains no images/,
    ],
  ])('%s', (_, files, message) => {
    folder.write('train-0.tar', tarOf(...files));
    const error = failure(() => open('train'));
    expect(error.message).toMatch(message);
    expect(error.message).toContain(join(folder.path, 'train-0.tar'));
    expect(error.hint).toMatch(/<key>\.jpg/);
  });

  describe('labels that are names', () => {
    const named = (...labels: string[]) =>
      labels.flatMap((label, i): [string, string][] => [
        [`${i}.jpg`, 'x'],
        label.startsWith('{') ? [`${i}.json`, label] : [`${i}.cls`, label],
      ]);

    test('are positions in the list of classes, in every shard', () => {
      folder.write('classes.json', '["ant", "bee", "cow"]');
      folder.write('train-0.tar', tarOf(...named('cow', 'ant\n', '{"label": "bee"}', '1')));
      folder.write('train-1.tar', tarOf(...named('bee', 'cow')));
      for (const _ of ['built', 'from the cache']) {
        const dataset = open('train');
        expect(indicesOf(dataset).map((i) => dataset.label(i))).toEqual([2, 0, 1, 1, 1, 2]);
      }
    });

    test.each(['["ant"]', undefined])('of no class: refused (list: %s)', (list) => {
      if (list !== undefined) folder.write('classes.json', list);
      folder.write('train-0.tar', tarOf(...named('ant', 'bee')));
      const error = failure(() => open('train'));
      expect(error.message).toMatch(/train-0\.tar: label "bee".*: unknown class name/);
      expect(error.hint).toMatch(/classes\.json/);
    });
  });

  test.each([
    ['jpg', 'input.jpg'],
    ['webp', 'seg.png'],
    ['image.jpeg', 'depth.tif'],
    ['input.png', 'output.png'],
    ['img.bmp', 'gif.gif'],
  ])('of .%s and .%s the first is the image', (image, other) => {
    folder.write('train-0.tar', tarOf([`a.${other}`, 'y'], [`a.${image}`, 'x'], ['a.cls', '0']));
    const dataset = open('train');
    expect(dataset.describe(0)).toMatch(new RegExp(`: a\\.${image}$`));
    expect(dataset.passedOver).toContainEqual(
      expect.objectContaining({ reason: 'additional images of a sample', count: 1 }),
    );
  });

  test('a single .input.jpg is the image; with two candidates neither is', () => {
    folder.write('train-0.tar', tarOf(['a.input.jpg', 'x'], ['a.target.cls', '3']));
    expect(open('train').label(0)).toBe(3);
    folder.write('train-0.tar', tarOf(['a.left.jpg', 'x'], ['a.right.jpg', 'y'], ['a.cls', '3']));
    expect(failure(() => open('train')).message).toMatch(/left\.jpg and right\.jpg, and none has/);
  });

  test('files that macOS and pax leave in archives are skipped and counted', () => {
    folder.write(
      'train-0.tar',
      tarOf(
        ['./._a.jpg', 'x'],
        ['a.jpg', 'x'],
        ['._a.cls', 'x'],
        ['a.cls', '1'],
        ['PaxHeaders.12/a.jpg', 'x'],
        ['x/PaxHeader/b.jpg', 'x'],
        ['__MACOSX/._b.jpg', 'x'],
        ['b.txt', 'caption'],
        ['b.jpg', 'x'],
        ['b.cls', '0'],
      ),
    );
    const dataset = open('train');
    expect(indicesOf(dataset).map((i) => dataset.label(i))).toEqual([1, 0]);
    const counts = Object.fromEntries((dataset.passedOver ?? []).map(({ reason, count }) => [reason, count]));
    expect(counts).toMatchObject({ hidden: 2, 'of the operating system': 3, 'named .txt': 1 });
  });

  test('a number takes precedence over JSON; keys end at the first dot of the last part', () => {
    folder.write(
      'train-0.tar',
      tarOf(['d.x/a.jpg', 'x'], ['d.x/a.cls', '4'], ['d.x/a.json', '{"label": 2}'], ['d.x/a.seg.png', 'y']),
    );
    const dataset = open('train');
    expect([dataset.length, dataset.label(0), dataset.classes.length]).toEqual([1, 4, 5]);
  });
});

describe('the cached index', () => {
  const entries = () => readdirSync(cache());

  test('is used if the shard has not changed, and contains no data', () => {
    writeShards();
    const before = open('train');
    expect(entries().length).toBe(2);
    for (const name of entries()) {
      const file = join(cache(), name);
      writeFileSync(file, readFileSync(file, 'utf8').replaceAll('img_', 'new_'));
    }
    const after = open('train');
    expect(after.describe(0)).toBe(before.describe(0).replace('img_', 'new_'));
    expect(after.source(0)).toEqual(before.source(0));
  });

  test('is rebuilt if the shard was rewritten', () => {
    writeShards();
    open('train');
    const file = join(folder.path, 'train-000000.tar');
    folder.write('train-000000.tar', unpacked(fixture.shards[1].tar));
    expect(sha256(storedBytes(open('train'), 0))).toBe(fixture.shards[1].samples[0].sha256);
    folder.write('train-000000.tar', tarOf(['a.jpg', 'x'], ['a.cls', '0']));
    utimesSync(file, 1, 1);
    expect(open('train').length).toBe(5);
    expect(entries().length).toBe(2);
  });

  test.each([
    ['no JSON', () => '{'],
    ['other JSON', () => '[]'],
    ['unequal lists', (text: string) => text.replace(/"labels":\[\d+,/, '"labels":[')],
    ['places beyond the file', (text: string) => text.replace(/"starts":\[/, '"starts":[99999999')],
    ['negative places', (text: string) => text.replace(/"starts":\[/, '"starts":[-')],
  ])('is built again where the cache holds %s', (_, damage) => {
    writeShards();
    open('train');
    for (const name of entries()) {
      const file = join(cache(), name);
      const damaged = damage(readFileSync(file, 'utf8'));
      expect(damaged).not.toBe(readFileSync(file, 'utf8'));
      writeFileSync(file, damaged);
    }
    const dataset = open('train');
    expect(indicesOf(dataset).map((i) => sha256(storedBytes(dataset, i)))).toEqual(
      samplesOf('train').map((sample) => sample.sha256),
    );
  });

  test('is not needed: an unwritable cache is ignored', () => {
    writeShards();
    folder.write('cache', 'a file');
    expect(open('train').length).toBe(8);
    expect(existsSync(join(cache(), 'x'))).toBe(false);
  });
});

describe('missing or damaged samples', () => {
  test('is named', () => {
    expect(failure(() => shards(join(folder.path, 'none'), 'train')).message).toMatch(/none: cannot be read/);
    expect(failure(() => open('train')).message).toMatch(/has no tar files named train/);
    folder.write('train-0.tar.gz', '');
    expect(failure(() => open('train')).hint).toMatch(/Decompress .*train-0\.tar\.gz/);
    folder.write('train-0.tar', unpacked(fixture.shards[0].tar).subarray(0, 700));
    expect(failure(() => open('train')).message).toMatch(/train-0\.tar is truncated/);
  });

  test('is skipped if the caller asks for every problem', () => {
    writeShards();
    folder.write('train-000000.tar', 'damaged');
    const problems: InputError[] = [];
    const dataset = shards(
      folder.path,
      'train',
      {},
      { cacheFolder: cache(), onProblem: (each) => problems.push(each) },
    );
    expect(dataset.length).toBe(4);
    expect(sha256(storedBytes(dataset, 0))).toBe(fixture.shards[1].samples[0].sha256);
    expect(problems.map(({ message }) => message)).toEqual([expect.stringContaining('train-000000.tar')]);
  });
});

test('a mutated shard is read or refused', { timeout: FUZZ_TIMEOUT }, () => {
  const originals = fixture.shards.map(({ tar }) => {
    const whole = unpacked(tar);
    return whole.subarray(0, whole.findLastIndex((byte) => byte !== 0) + 1500);
  });
  // No folder can be made in a file: nothing is cached.
  const nowhere = folder.write('cache', 'a file');
  const refused = refusals((run) => {
    const bytes = mutate(originals[run % originals.length], randomStream(['shards', run]));
    folder.write('train-0.tar', bytes);
    const dataset = shards(folder.path, 'train', {}, { cacheFolder: join(nowhere, 'cache') });
    for (const i of indicesOf(dataset)) {
      const source = dataset.source(i);
      if (!('file' in source)) throw new Error('in memory');
      expect((source.start ?? 0) + (source.bytes ?? 0)).toBeLessThanOrEqual(bytes.length);
      expect(dataset.label(i)).toBeLessThan(dataset.classes.length);
    }
  });
  expect(refused).toBeGreaterThan(FUZZ_RUNS / 8);
  expect(refused).toBeLessThan(FUZZ_RUNS);
});
