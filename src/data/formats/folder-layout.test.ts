import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { failure, testFolder } from '../../../test/fixtures/data-fixture.js';
import { checkData } from '../check/data-check.js';
import { openDataset, openEvalDataset } from '../open/open-dataset.js';
import type { SplitChoice } from '../splits.js';
import { evalFolder, imageFolders } from './folder.js';
import { folderLayout } from './folder-layout.js';

const folder = testFolder();
const at = (name: string) => join(folder.path, name);

/** Writes empty files; they are not decoded. */
function touch(...files: string[]): void {
  for (const file of files) folder.write(file, '');
}

const DIVIDED = ['train/ant/1.png', 'train/bee/1.png'];
const evaluated = (dir: string, split?: SplitChoice) => {
  const dataset = evalFolder(dir, 2, undefined, split);
  return Array.from({ length: dataset.length }, (_, i) => dataset.describe(i).slice(folder.path.length + 1));
};

describe('the part to evaluate on', () => {
  test.each(['val', 'valid', 'validation', 'Valid', 'VAL'])(
    '%s, whatever other folders there are',
    (name) => {
      touch(...DIVIDED, `${name}/ant/2.png`, `${name}/bee/2.png`, 'test/ant/3.png', 'test/bee/3.png');
      expect(evaluated(folder.path)).toEqual([`${name}/ant/2.png`, `${name}/bee/2.png`]);
      expect(openDataset({ format: 'folder', path: folder.path }).val.length).toBe(2);
      expect(evaluated(folder.path, 'test')).toEqual(['test/ant/3.png', 'test/bee/3.png']);
      expect(evaluated(folder.path, 'train')).toEqual(DIVIDED);
    },
  );

  test.each([
    ['only train', [], /has no folder named val, valid or validation: it has train$/],
    [
      'train and test',
      ['test/ant/1.png', 'test/bee/1.png'],
      /it has train and test; test is read only if requested/,
    ],
    ['train and another folder', ['eval/docs/readme.txt'], /it has train$/],
  ])('%s: refused, not treated as classes', (_, more, message) => {
    touch(...DIVIDED, ...more);
    for (const open of [
      () => evalFolder(folder.path, 2),
      () => openEvalDataset(folder.path, { model: { count: 2 } }),
      () => openDataset({ format: 'folder', path: folder.path }),
    ]) {
      expect(failure(open).message).toMatch(message);
    }
  });

  test('test is the validation set of a run that asks for it', () => {
    touch(...DIVIDED, 'Test/bee/1.png');
    const { val } = openDataset({ format: 'folder', path: folder.path, evalSplit: 'test' });
    expect([val.length, val.label(0), val.describe(0)]).toEqual([1, 1, at('Test/bee/1.png')]);
  });

  test.each([
    ['val', 'valid'],
    ['val', 'Val'],
    ['validation', 'valid'],
    ['train', 'Train'],
  ])('%s and %s: refused', (...names) => {
    touch(...DIVIDED, ...names.flatMap((name) => [`${name}/ant/2.png`, `${name}/bee/2.png`]));
    expect(failure(() => evalFolder(folder.path, 2)).message).toMatch(
      /two folders for the split (val|train): /,
    );
    expect(failure(() => imageFolders(folder.path)).message).toMatch(/two folders for the split/);
  });

  test('a part given directly', () => {
    touch(...DIVIDED, 'val/ant/2.png', 'val/bee/2.png');
    expect(evaluated(at('train'))).toEqual(DIVIDED);
    expect(evaluated(at('val'), 'val')).toEqual(['val/ant/2.png', 'val/bee/2.png']);
    expect(failure(() => evaluated(at('train'), 'val')).message).toMatch(/it has no splits/);
  });
});

describe('classes with the names of parts', () => {
  test.each([
    [['bus', 'train']],
    [['best', 'test']],
    [['bus', 'car', 'test', 'train', 'val']],
    [['Valid', 'invalid']],
  ])('%j by their content', (names) => {
    touch(...names.flatMap((name) => [`${name}/1.png`, `${name}/2.jpg`]));
    expect(folderLayout(folder.path).parts).toBeUndefined();
    expect(evalFolder(folder.path, names.length).classes).toEqual(names);
  });

  test('within parts', () => {
    touch('train/bus/1.png', 'train/train/1.png', 'val/bus/1.png', 'val/train/1.png', 'val/train/2.png');
    const { train, val } = imageFolders(folder.path);
    expect([train.classes, val.classes, train.length, val.length]).toEqual([
      ['bus', 'train'],
      ['bus', 'train'],
      2,
      3,
    ]);
    expect(evaluated(folder.path)).toEqual(['val/bus/1.png', 'val/train/1.png', 'val/train/2.png']);
    expect(evaluated(at('val'))).toEqual(['val/bus/1.png', 'val/train/1.png', 'val/train/2.png']);
  });

  test.each([
    ['images in train and val, and nothing else', ['train/1.png', 'val/1.png']],
    ['class folders in train beside a folder of images', ['train/a/1.png', 'bus/1.png']],
    ['images deeper in all of them', ['train/2019/1.png', 'bus/2020/1.png']],
    ['images and folders in train beside a folder of images', ['train/1.png', 'train/a/1.png', 'bus/1.png']],
  ])('%s: ambiguous unless --split all is given', (_, files) => {
    touch(...files);
    const error = failure(() => evalFolder(folder.path, 2));
    expect(error.message).toMatch(/may be/);
    expect(error.hint).toMatch(/--split all/);
    expect(failure(() => imageFolders(folder.path)).message).toBe(error.message);
    expect(evalFolder(folder.path, 2, undefined, 'all').classes.length).toBe(2);
  });

  test('a split of labelled images needs no class folders', () => {
    touch('train/a_y0.png', 'train/b_y1.png', 'val/c_y1.png');
    expect(evaluated(folder.path)).toEqual(['val/c_y1.png']);
  });
});

describe('files that are not read', () => {
  const reasons = (list: readonly { reason: string; count: number }[] | undefined) =>
    Object.fromEntries((list ?? []).map(({ reason, count }) => [reason, count]));

  test('are counted by reason, for a run and for an evaluation', () => {
    touch(...DIVIDED, 'val/ant/2.png', 'test/ant/3.png', 'val/bee/2.png');
    touch('train/ant/notes.txt', 'train/ant/deep/more.TXT', 'train/bee/raw.heic', 'train/bee/LICENSE');
    touch('train/stray.png', 'val/ant/.DS_Store', '__MACOSX/train/._1.png', 'extra/a/1.png', 'README.md');
    mkdirSync(at('train/.cache'));
    const { train, val } = imageFolders(folder.path);
    expect(train.classes).toEqual(['ant', 'bee']);
    expect(reasons(train.passedOver)).toEqual({
      'named .txt': 2,
      'named .heic': 1,
      'named .md': 1,
      'without an extension': 1,
      'images next to class folders': 1,
      hidden: 1,
      'of the operating system': 1,
      'folders that are not splits': 1,
      'split that data.eval_split did not select': 1,
    });
    expect(reasons(val.passedOver)).toEqual({ hidden: 1 });
    expect(reasons(evalFolder(folder.path, 2).passedOver)).toMatchObject({ 'named .md': 1, hidden: 1 });
  });
});

describe('data check and a run agree', () => {
  const agree = async () => {
    let refusal: string | undefined;
    try {
      openDataset({ format: 'folder', path: folder.path });
    } catch (error) {
      refusal = String(error);
    }
    const kinds = await checkData(folder.path).then(
      ({ problems }) => problems.map(({ kind }) => kind).filter((kind) => kind !== 'unreadable'),
      () => ['refused'],
    );
    expect(kinds.length > 0, `${refusal}; ${kinds}`).toBe(refusal !== undefined);
    return kinds;
  };

  test.each<[string, string[], string[]]>([
    ['a divided folder', [...DIVIDED, 'valid/ant/2.png'], []],
    ['no validation part', DIVIDED, ['missing_part']],
    ['test in its place', [...DIVIDED, 'test/ant/2.png'], ['missing_part']],
    ['two validation parts', [...DIVIDED, 'val/ant/2.png', 'valid/ant/2.png'], ['refused']],
    ['no training part', ['val/ant/2.png'], ['missing_part']],
    ['a class of val that train lacks', [...DIVIDED, 'val/cow/2.png'], ['unknown_class']],
    ['a class without images', [...DIVIDED, 'val/ant/2.png', 'train/cow/notes.txt'], ['empty_class']],
    ['parts without classes', ['train/1.png', 'val/1.png'], ['refused']],
  ])('on %s', async (_, files, kinds) => {
    touch(...files);
    expect(await agree()).toEqual(kinds);
  });
});
