import { mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { testFolder } from '../../../test/fixtures/data-fixture.js';
import { InputError } from '../../base/errors.js';
import type { Dataset } from '../dataset.js';
import { dataIdentity } from '../open/identity.js';
import { classesOfData, openDataset, openEvalDataset } from '../open/open-dataset.js';
import { unlabelledImages } from './image-paths.js';

const folder = testFolder();

/** Writes a list, and an empty file for each path in it that ends with `.png` and does not contain `missing`. */
function write(text: string | Buffer, name = 'list.csv'): string {
  for (const [path] of String(text).matchAll(/[^",;\t\r\n\uFEFF]+\.png/g)) {
    if (!path.includes('missing') && !path.startsWith('/')) folder.write(path, '');
  }
  return folder.write(name, text);
}

const open = (path: string, more: object = {}) => openDataset({ format: 'csv', path, ...more });

/** Each image as `<file>=<class>`. */
const shown = (dataset: Dataset) =>
  Array.from(
    { length: dataset.length },
    (_, i) => `${dataset.describe(i).slice(folder.path.length + 1)}=${dataset.classes[dataset.label(i)]}`,
  );

const rows = 'a.png,cat,train\nb.png,dog,train\nsub/c.png,cat,val\n';

describe('the same list', () => {
  test.each<[string, string | Buffer]>([
    ['as written by hand', `path,label,split\n${rows}`],
    ['with a byte-order mark', Buffer.from(`\uFEFFpath,label,split\n${rows}`)],
    ['with CRLF', `path,label,split\n${rows}`.replaceAll('\n', '\r\n')],
    ['with CRLF and LF', `path,label,split\r\n${rows}`],
    ['without a last line break, with empty lines', `\n\npath,label,split\n\n${rows.trim()}`],
    ['with semicolons', `path,label,split\n${rows}`.replaceAll(',', ';')],
    ['with tabs', `path,label,split\n${rows}`.replaceAll(',', '\t')],
    ['with quotes', `"path","label","split"\n${rows.replaceAll(/[^,\n]+/g, '"$&"')}`],
    [
      'with spaces, upper case and other names of splits',
      'Path, Label ,SPLIT\na.png, cat ,Training\nb.png,dog,train\nsub/c.png,cat, Valid\n',
    ],
    [
      'with other columns in another order',
      'split,id,label,path\ntrain,1,cat,a.png\ntrain,2,dog,b.png\nval,3,cat,sub/c.png\n',
    ],
  ])('%s', (_, text) => {
    const { train, val } = open(write(text));
    expect([shown(train), shown(val)]).toEqual([['a.png=cat', 'b.png=dog'], ['sub/c.png=cat']]);
    expect([train.classes, val.classes, train.isUnnamed]).toEqual([['cat', 'dog'], ['cat', 'dog'], false]);
  });
});

test('commas, quotes and line breaks in names need quotes', () => {
  folder.write('a, b.png', '');
  folder.write('c "d".png', '');
  folder.write('e\nf.png', '');
  const path = folder.write(
    'list.csv',
    'path,label\n"a, b.png","x, y"\n"c ""d"".png",z\n"e\nf.png",z\nmissing.png,z\n',
  );
  expect(() => open(path, { split: { val: 1 } })).toThrow('missing.png (line 6)');
  folder.write('missing.png', '');
  const { train, val } = open(path, { split: { val: 1 } });
  expect([...shown(train), ...shown(val)].sort()).toEqual([
    'a, b.png=x, y',
    'c "d".png=z',
    'e\nf.png=z',
    'missing.png=z',
  ]);
});

describe('labels', () => {
  const list = (labels: readonly string[]) =>
    write(
      `path,label,split\n${labels.map((label, i) => `${i}.png,${label},train`).join('\n')}\nv.png,${labels[0]},val\n`,
    );

  test.each<[string, readonly string[], readonly string[], readonly number[], boolean]>([
    ['names are sorted', ['dog', 'cat', 'ant'], ['ant', 'cat', 'dog'], [2, 1, 0], false],
    [
      'whole numbers are labels',
      ['2', '10', '0'],
      Array.from({ length: 11 }, (_, i) => String(i)),
      [2, 10, 0],
      true,
    ],
    ['leading zeros make names', ['02', '10', '01'], ['01', '02', '10'], [1, 2, 0], false],
    ['fractions are names', ['1.0', '0.0'], ['0.0', '1.0'], [1, 0], false],
    ['numbers among names are names', ['10', '9', 'cat'], ['10', '9', 'cat'], [0, 1, 2], false],
    ['negative numbers are names', ['-1', '1'], ['-1', '1'], [0, 1], false],
    ['NFC and NFD are one name', ['e\u0301', '\u00e9', 'a'], ['a', '\u00e9'], [1, 1, 0], false],
  ])('%s', (_, labels, classes, expected, isUnnamed) => {
    const { train } = open(list(labels));
    expect([train.classes, labels.map((_, i) => train.label(i)), train.isUnnamed]).toEqual([
      classes,
      expected,
      isUnnamed,
    ]);
  });

  test('names that look like numbers are names if the model has them', () => {
    const classes = ['9', '3', '10'];
    const { train } = open(list(['3', '9']), { classes });
    expect([train.label(0), train.label(1)]).toEqual([1, 0]);
  });

  test('numbers of a model with names', () => {
    const { train } = open(list(['1', '0']), { classes: ['ant', 'bee'] });
    expect([train.classes, train.label(0)]).toEqual([['ant', 'bee'], 1]);
  });

  test('a number that the model does not have is refused with its line', () => {
    expect(() => open(list(['0', '3']), { modelClasses: 3 })).toThrow(
      'line 3: label 3, but the model has 3 classes',
    );
  });

  test('a class that is only in val', () => {
    const path = write('path,label,split\na.png,cat,train\nb.png,dog,val\n');
    expect(() => open(path)).toThrow('line 3: no training image has the class dog');
  });
});

test.each<[string, string, RegExp]>([
  ['an empty label', 'path,label,split\na.png,,train\nb.png,x,val\n', /line 2: the label is missing/],
  [
    'several empty labels',
    'path,label,split\na.png,,train\nb.png, ,train\nc.png,x,val\n',
    /lines 2, 3: the label is missing/,
  ],
  ['no column label', 'path,split\na.png,train\nb.png,val\n', /line 2: the label is missing/],
  [
    'a missing image',
    'path,label,split\na.png,x,train\nmissing/b.png,x,train\nc.png,x,val\n',
    /1 of 2 images not found: .*missing\/b\.png \(line 3\)/,
  ],
  ['a folder', 'path,label,split\n.,x,train\nc.png,x,val\n', /1 of 1 images not found/],
  [
    'a repeated path',
    'path,label,split\na.png,x,train\nb.png,x,train\n./a.png,x,val\n',
    /line 4: \.\/a\.png is already on line 2/,
  ],
  ['an unknown split', 'path,label,split\na.png,x,training set\n', /line 2: unknown split "training set"/],
  ['an empty split', 'path,label,split\na.png,x,\n', /line 2: the split is empty/],
  ['an unquoted comma', 'path,label,split\na.png,x, y,train\n', /line 2: 4 fields, but the header has 3/],
  ['an open quote', 'path,label,split\n"a.png,x,train\n', /line 2: quoted field unterminated/],
  ['no header', 'a.png,x,train\n', /no column path: its first line is "a\.png,x,train"/],
  ['only a header', 'path,label\n', /lists no images/],
  ['an empty file', '', /no column path/],
  ['an empty path', 'path,label,split\n,x,train\n', /line 2: the path is empty/],
  [
    'no rows of val',
    'path,label,split\na.png,x,train\n',
    /no rows of the split val, valid or validation: it has train/,
  ],
  [
    'no column split',
    'path,label\na.png,x\n',
    /no rows of the split train or training: it has no column split/,
  ],
])('%s is refused', (_, text, message) => {
  const path = write(text);
  expect(() => open(path)).toThrow(InputError);
  expect(() => open(path)).toThrow(message);
});

test('U+0000 in a path is refused', () => {
  const path = folder.write('list.csv', 'path,label,split\na\0b.png,x,train\n');
  expect(() => open(path)).toThrow(InputError);
  expect(() => open(path)).toThrow(/line 2: the path contains the character U\+0000/);
});

test('text that is not UTF-8', () => {
  const path = folder.write('list.csv', Buffer.from('path,label\n\xe9.png,x\n', 'latin1'));
  expect(() => open(path)).toThrow(/not UTF-8 text$/);
  folder.write('list.csv', Buffer.from('\uFEFFpath,label\n', 'utf16le'));
  expect(() => open(path)).toThrow(/not UTF-8 text but UTF-16/);
});

test('rows of test are read only on request; their labels may be missing', () => {
  const path = write('path,label,split\na.png,x,train\nb.png,x,val\nc.png,,test\n');
  const { train, val } = open(path);
  expect([train.length, val.length, train.passedOver?.[0].count]).toEqual([1, 1, 1]);
  expect(() => open(path, { evalSplit: 'test' })).toThrow('line 4: the label is missing');
});

test('data.split takes the validation images from train', () => {
  const path = write(
    `path,label,split\n${Array.from({ length: 8 }, (_, i) => `${i}.png,${i % 2},train\n`).join('')}v.png,0,val\n`,
  );
  const { train, val, unread } = open(path, { split: { val: 0.25 } });
  expect([train.length, val.length, unread]).toEqual([6, 2, 'the rows of val']);
});

test('absolute paths, and paths above the folder of the file', () => {
  const elsewhere = folder.write('elsewhere/a.png', '');
  const path = write(`path,label,split\n${elsewhere},x,train\n../b.png,x,val\n`, 'lists/list.csv');
  folder.write('b.png', '');
  const { train, val } = open(path);
  expect([train.describe(0), val.describe(0)]).toEqual([elsewhere, join(folder.path, 'b.png')]);
});

test('eval: labels by name, by number, and the default split', () => {
  const path = write('path,label,split\na.png,ant,train\nb.png,cat,val\n');
  const named = { names: ['dog', 'cat', 'ant'], from: 'the run' };
  const { dataset } = openEvalDataset(path, { model: { count: 3, named, isCertain: true } });
  expect(shown(dataset)).toEqual(['b.png=cat']);
  const all = openEvalDataset(path, { model: { count: 3, named, isCertain: true }, split: 'all' }).dataset;
  expect([all.label(0), all.label(1)]).toEqual([2, 1]);
  const numbers = write('path,label\na.png,2\n', 'numbers.csv');
  expect(openEvalDataset(numbers, { model: { count: 10 } }).dataset.label(0)).toBe(2);
  expect(() => openEvalDataset(numbers, { model: { count: 2 } })).toThrow(
    'line 2: label 2, but the model has 2 classes',
  );
  expect(classesOfData(path, { model: { count: 1 } })).toEqual(['ant']);
});

test('images to predict: all rows, without labels, whether they exist or not', () => {
  const path = write('path,label\na.png,\nmissing.png,x\n');
  const images = unlabelledImages([path, join(folder.path, 'a.png')]);
  expect([images.length, images.describe(1)]).toEqual([3, join(folder.path, 'missing.png')]);
});

test('the identity does not depend on the place, but on labels, splits and order', () => {
  const identity = (path: string) => dataIdentity(open(path), { format: 'csv', path }).digest;
  const text = `path,label,split\n${rows}`;
  const path = write(text);
  const first = identity(path);
  mkdirSync(join(folder.path, 'moved'));
  for (const name of ['a.png', 'b.png', 'sub', 'list.csv'])
    renameSync(join(folder.path, name), join(folder.path, 'moved', name));
  expect(identity(join(folder.path, 'moved/list.csv'))).toBe(first);
  for (const [from, to] of [
    ['b.png,dog,train', 'b.png,cow,train'],
    ['a.png,cat,train\nb.png,dog,train', 'b.png,dog,train\na.png,cat,train'],
  ]) {
    expect(identity(write(text.replace(from, to), 'other.csv'))).not.toBe(first);
  }
});
