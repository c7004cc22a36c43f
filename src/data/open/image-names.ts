import { join } from 'node:path';
import { type Dataset, isEncoded } from '../dataset.js';
import type { DataFormat } from '../formats/formats.js';
import { splitOfName } from '../splits.js';

/** Where a data set is stored. It determines the prefix of the images' names, which is not part of the identity. */
export interface DataPlace {
  readonly format: DataFormat;
  readonly path: string | undefined;
}

/** Returns the name of an image by index. The name stays the same if the data set is moved. */
export function imageNames(dataset: Dataset, place: DataPlace): (i: number) => string {
  const start = nameStart(dataset, place);
  return start === undefined ? (i) => `image ${i}` : (i) => dataset.describe(i).slice(start);
}

/** Start of the part of an image's name that does not change if the data set is moved. */
function nameStart(dataset: Dataset, { format, path }: DataPlace): number | undefined {
  if (dataset.length === 0 || !isEncoded(dataset.source(0))) return undefined;
  const first = dataset.describe(0);
  const root = path === undefined ? '' : join(path, '/');
  const start = root === './' ? 0 : root.length;
  if (root !== './' && !first.startsWith(root)) return commonFolder(dataset);
  return format === 'folder' ? afterSplit(dataset, start) : start;
}

/** Skips the folder of the split, so that val, valid and validation are equivalent. A folder without splits has none. */
function afterSplit(dataset: Dataset, start: number): number {
  const first = dataset.describe(0);
  const end = first.indexOf('/', start) + 1;
  const isSplit = end > 0 && splitOfName(first.slice(start, end - 1)) !== undefined;
  const isShared = dataset.describe(dataset.length - 1).startsWith(first.slice(0, end));
  return isSplit && isShared ? end : start;
}

/** Length of the path that all images have in common, up to its last slash. */
export function commonFolder(dataset: Dataset): number {
  if (dataset.length === 0) return 0;
  const first = dataset.describe(0);
  let common = first.lastIndexOf('/') + 1;
  for (let i = 1; i < dataset.length && common > 0; i++) {
    const name = dataset.describe(i);
    while (common > 0 && !name.startsWith(first.slice(0, common))) {
      common = first.lastIndexOf('/', common - 2) + 1;
    }
  }
  return common;
}
