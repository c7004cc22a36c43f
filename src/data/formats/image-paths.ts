import { statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { absent, pathOf, shownName } from '../../files/file-names.js';
import type { Dataset } from '../dataset.js';
import { passedOverTally } from '../passed-over.js';
import { isCsvPath, readCsvTable } from './csv-table.js';
import { imagesUnder } from './folder-layout.js';
import { nameListBuilder } from './name-list.js';

/**
 * Images without labels: the given files, and all images in the given folders and below, in the order of the paths and sorted
 * within each folder. A CSV file stands for the images that it lists. Another file that is given by name is read whatever its
 * extension. Links to folders inside a folder are not
 * followed. Each image takes the bytes of its path and eight more in memory.
 *
 * @throws InputError if a path does not exist, or a folder contains no images.
 */
export function unlabelledImages(paths: readonly string[]): Dataset {
  const names = nameListBuilder();
  const tally = passedOverTally();
  for (const path of paths) {
    const stat = statSync(pathOf(path), { throwIfNoEntry: false });
    if (stat === undefined)
      throw new InputError(absent(path), { hint: 'Name image files, or folders of images.' });
    if (!stat.isDirectory() && isCsvPath(path)) {
      const { images } = readCsvTable(path);
      for (let i = 0; i < images.length; i++) names.add(images.at(i));
      continue;
    }
    if (!stat.isDirectory()) {
      names.add(path);
      continue;
    }
    const found = imagesUnder(path, tally.add);
    if (found.length === 0) {
      throw new InputError(`${shownName(path)} contains no images`, {
        hint: 'Name a folder with PNG, JPEG, WebP, BMP, GIF or TIFF files.',
      });
    }
    for (const image of found) names.add(join(path, image));
  }
  const list = names.build();
  return {
    length: names.length,
    classes: [''],
    isUnnamed: true,
    passedOver: tally.list(),
    label: () => 0,
    describe: (i) => shownName(list.at(i)),
    source: (i) => ({ file: list.at(i) }),
  };
}
