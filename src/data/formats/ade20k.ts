import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { InputError } from '../../base/errors.js';
import type { Dataset } from '../dataset.js';
import { passedOverTally } from '../passed-over.js';

/** The folder that the published archive unpacks to. */
const FOLDER = 'ADEChallengeData2016';
const CLASSES = 'objectInfo150.txt';
const PARTS = { train: 'training', val: 'validation' } as const;
const IMAGE = /\.jpe?g$/i;

/**
 * ADE20K's scene parsing benchmark (Zhou et al. 2017): `images/{training,validation}/*.jpg`, a label map of the same name in
 * `annotations/{training,validation}/*.png`, and the class names in `objectInfo150.txt`.
 * @param root the folder `ADEChallengeData2016`, or the one that contains it
 * @throws InputError naming the file or folder that is missing or invalid
 */
export function ade20k(root: string): { readonly train: Dataset; readonly val: Dataset } {
  const folder = ade20kFolder(root);
  if (folder === undefined) {
    throw new InputError(`${root}: no ADE20K scene parsing data`, {
      hint: `It needs the folders images and annotations, each with training and validation, and ${CLASSES}.`,
    });
  }
  const classes = classNames(join(folder, CLASSES));
  return { train: partOf(folder, 'train', classes), val: partOf(folder, 'val', classes) };
}

/** The folder of the data; undefined if `root` has none. */
export function ade20kFolder(root: string): string | undefined {
  return [root, join(root, FOLDER)].find((folder) =>
    [CLASSES, 'images', 'annotations'].every((name) => existsSync(join(folder, name))),
  );
}

/** The names in the order of the labels. A line has the columns Idx, Ratio, Train, Val, Stuff and Name. */
function classNames(path: string): string[] {
  const lines = readFileSync(path, 'utf8').split(/\r?\n/);
  const rows = lines.flatMap((line) => {
    const [, index, name] = /^\s*(\d+)\s+\S+\s+\S+\s+\S+\s+\S+\s+(\S.*?)\s*$/.exec(line) ?? [];
    return index === undefined ? [] : [{ index: Number(index), name }];
  });
  const wrong = rows.findIndex(({ index }, i) => index !== i + 1);
  if (rows.length > 0 && wrong < 0 && rows.length < 255) return rows.map(({ name }) => name);
  const what =
    rows.length === 0 || rows.length >= 255
      ? `${rows.length} classes`
      : `class ${rows[wrong].index} in place ${wrong + 1}`;
  throw new InputError(`${path}: ${what}, but it needs classes numbered from 1 to at most 254`, {
    hint: "Each line needs ADE20K's columns Idx, Ratio, Train, Val, Stuff and Name.",
  });
}

function partOf(folder: string, part: 'train' | 'val', classes: readonly string[]): Dataset {
  const images = join(folder, 'images', PARTS[part]);
  const annotations = join(folder, 'annotations', PARTS[part]);
  const tally = passedOverTally();
  const names = listed(images).filter((name) => {
    if (IMAGE.test(name)) return true;
    tally.add('files that are not JPEG images', join(images, name));
    return false;
  });
  if (names.length === 0) throw new InputError(`${images} contains no JPEG images`);
  const maps = new Set(listed(annotations));
  const mapOf = (name: string) => `${basename(name, extname(name))}.png`;
  const missing = names.find((name) => !maps.has(mapOf(name)));
  if (missing !== undefined) {
    throw new InputError(
      `${join(annotations, mapOf(missing))} is missing, the label map of ${join(images, missing)}`,
      {
        hint: 'Restore it, or remove the image.',
      },
    );
  }
  const used = new Set(names.map(mapOf));
  for (const map of maps)
    if (!used.has(map)) tally.add('label maps without an image', join(annotations, map));
  return {
    length: names.length,
    classes,
    passedOver: tally.list(),
    label: () => 0,
    describe: (i) => join(images, names[i]),
    source: (i) => ({ file: join(images, names[i]) }),
    labelMap: (i) => ({ file: join(annotations, mapOf(names[i])) }),
  };
}

function listed(folder: string): string[] {
  if (!existsSync(folder)) {
    throw new InputError(`${folder} does not exist`, { hint: 'ADE20K has training and validation images.' });
  }
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.'))
    .sort();
}
