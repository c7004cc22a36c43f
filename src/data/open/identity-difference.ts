import { constants } from 'node:buffer';
import { gunzipSync } from 'node:zlib';
import type { DataIdentity, Part, SplitIdentity } from './identity.js';

/** An earlier or current state of a data set: its identity and, if known, the lists of its images. */
export interface KnownData {
  readonly identity: DataIdentity;
  /** The list of a split's images, see `imageList`. */
  readonly list: (split: Part) => Uint8Array | undefined;
}

/** Differences between two data sets. */
export interface DataDifference {
  /** One sentence per change; empty if they are the same. */
  readonly changes: readonly string[];
  /** Labels that differ because the classes are sorted differently, as sentences. */
  readonly labels: readonly string[];
  /** New names of classes by their old names. */
  readonly renamed: ReadonlyMap<string, string>;
}

/** Maximum number of images or classes that a message names. */
const NAMED = 5;

export function dataDifference(before: KnownData, now: KnownData): DataDifference {
  const renamed = renamedClasses(before, now);
  const classes = classChanges(before.identity.classes, now.identity.classes, renamed);
  const splits = (['train', 'val'] as const).flatMap((split) => splitChanges(split, before, now, renamed));
  const labels = movedLabels(before.identity.classes, now.identity.classes, renamed);
  return { changes: [...classes, ...splits], labels, renamed };
}

/** Maps each removed class to the class that replaced it. Classes with the same images are matched first. */
function renamedClasses(before: KnownData, now: KnownData): Map<string, string> {
  const [old, current] = [before.identity.classes, now.identity.classes];
  const gone = old.filter((name) => !current.includes(name));
  const added = current.filter((name) => !old.includes(name));
  const renamed = new Map<string, string>();
  if (gone.length === 0 || gone.length !== added.length) return renamed;
  const [was, is] = [before, now].map(contentByClass);
  for (const name of gone) {
    const content = was?.get(name);
    const same = added.find((other) => content !== undefined && is?.get(other) === content);
    if (same === undefined) continue;
    renamed.set(name, same);
    added.splice(added.indexOf(same), 1);
  }
  for (const name of gone) if (!renamed.has(name)) renamed.set(name, added.shift() as string);
  return renamed;
}

/** The training images of each class: their names without the class, and their sizes. */
function contentByClass({ identity, list }: KnownData): Map<string, string> | undefined {
  const images = parsed(list('train'), identity.train.images);
  if (images === undefined) return undefined;
  const found = new Map<string, string[]>();
  for (const { name, className, bytes } of images.values()) {
    const own = name.startsWith(`${className}/`) ? name.slice(className.length + 1) : name;
    const images = found.get(className) ?? [];
    images.push(`${own}\t${bytes}`);
    found.set(className, images);
  }
  return new Map([...found].map(([name, content]) => [name, content.join('\n')]));
}

function classChanges(
  old: readonly string[],
  current: readonly string[],
  renamed: ReadonlyMap<string, string>,
): string[] {
  const kept = old.map((name) => renamed.get(name) ?? name);
  const gone = old.filter((name) => !current.includes(name) && !renamed.has(name));
  const added = current.filter((name) => !kept.includes(name));
  return [
    ...[...renamed].map(([from, to]) => `the class ${quoted(from)} is now ${quoted(to)}`),
    ...(gone.length > 0 ? [`${classCount(gone.length)} gone: ${some(gone.map(quoted))}`] : []),
    ...(added.length > 0 ? [`${classCount(added.length)} new: ${some(added.map(quoted))}`] : []),
  ];
}

function movedLabels(
  old: readonly string[],
  current: readonly string[],
  renamed: ReadonlyMap<string, string>,
): string[] {
  const kept = old.map((name) => renamed.get(name) ?? name);
  if (kept.some((name) => !current.includes(name)) || kept.length !== current.length) return [];
  const moved = current.flatMap((name, label) =>
    kept[label] === name ? [] : [`${quoted(name)} ${label} instead of ${kept.indexOf(name)}`],
  );
  return moved.length === 0 ? [] : [`labels, in class order: ${some(moved)}`];
}

function splitChanges(
  split: Part,
  before: KnownData,
  now: KnownData,
  renamed: ReadonlyMap<string, string>,
): string[] {
  const [was, is] = [before.identity[split], now.identity[split]];
  if (was.digest === is.digest) return [];
  const old = parsed(before.list(split), was.images, renamed);
  const current = parsed(now.list(split), is.images);
  if (old === undefined || current === undefined) return countChanges(split, before.identity, now.identity);
  const added = [...current.keys()].filter((name) => !old.has(name));
  const gone = [...old.keys()].filter((name) => !current.has(name));
  const both = [...current].flatMap(([name, image]) => {
    const then = old.get(name);
    return then === undefined ? [] : [{ name, image, then }];
  });
  const resized = both
    .filter(({ image, then }) => image.bytes !== then.bytes)
    .map(({ name, image, then }) => `${name} (${image.bytes} bytes instead of ${then.bytes})`);
  const relabelled = both
    .filter(({ image, then }) => image.className !== then.className)
    .map(
      ({ name, image, then }) => `${name} (${quoted(image.className)} instead of ${quoted(then.className)})`,
    );
  const found = [
    ...(added.length > 0 ? [`${added.length} more: ${some(added)}`] : []),
    ...(gone.length > 0 ? [`${gone.length} gone: ${some(gone)}`] : []),
    ...(resized.length > 0 ? [`${resized.length} of another size: ${some(resized)}`] : []),
    ...(relabelled.length > 0 ? [`${relabelled.length} of another class: ${some(relabelled)}`] : []),
  ];
  const numbers = was.images === is.images ? '' : `${is.images} images instead of ${was.images}; `;
  if (found.length > 0) return [`${split}: ${numbers}${found.join('; ')}`];
  if (renamed.size > 0) return [];
  const isClassified = is.per_class.some((count) => count > 0);
  const other = isClassified ? 'other pixels' : 'other annotations';
  return [`${split}: ${reordered(old, current) ? 'the same images in another order' : other}`];
}

function reordered(old: ReadonlyMap<string, unknown>, current: ReadonlyMap<string, unknown>): boolean {
  const names = [...current.keys()];
  return [...old.keys()].some((name, i) => name !== names[i]);
}

/** The changes in counts, used if there are no lists of images. */
function countChanges(split: Part, before: DataIdentity, now: DataIdentity): string[] {
  const [was, is] = [before[split], now[split]];
  const counts = (identity: DataIdentity, of: SplitIdentity) =>
    new Map(identity.classes.map((name, label) => [name, of.per_class[label] ?? 0]));
  const [old, current] = [counts(before, was), counts(now, is)];
  const changed = [...current]
    .filter(([name, count]) => old.has(name) && old.get(name) !== count)
    .map(([name, count]) => `${quoted(name)} ${count} instead of ${old.get(name)}`);
  if (was.images !== is.images || changed.length > 0) {
    const classes = changed.length > 0 ? `: ${some(changed)}` : '';
    return [`${split}: ${is.images} images instead of ${was.images}${classes}`];
  }
  if (was.bytes !== is.bytes) return [`${split}: ${is.bytes} bytes of images instead of ${was.bytes}`];
  return [`${split}: other names or sizes of images`];
}

interface ListedImage {
  readonly name: string;
  readonly className: string;
  readonly bytes: number;
}

/** The images of a list by name, with new class names instead of old ones. Undefined if the list is missing or damaged. */
function parsed(
  list: Uint8Array | undefined,
  count: number,
  renamed: ReadonlyMap<string, string> = new Map(),
): Map<string, ListedImage> | undefined {
  const text = list && unpacked(list, count);
  if (text === undefined) return undefined;
  const images = new Map<string, ListedImage>();
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf(0x0a, at);
    const [bytes, was, path] = text.toString('utf8', at, end).split('\t');
    if (end < 0 || path === undefined) return undefined;
    const className = renamed.get(was) ?? was;
    const name = className !== was && path.startsWith(`${was}/`) ? className + path.slice(was.length) : path;
    images.set(name, { name, className, bytes: Number(bytes) });
    at = end + 1;
  }
  return images;
}

/** Longer than any line of a list. */
const MOST_LINE = 16_384;

function unpacked(list: Uint8Array, count: number): Buffer | undefined {
  try {
    return gunzipSync(list, { maxOutputLength: Math.min(MOST_LINE * (count + 1), constants.MAX_LENGTH) });
  } catch {
    return undefined;
  }
}

function some(names: readonly string[]): string {
  const more = names.length - NAMED;
  return `${names.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} others` : ''}`;
}

const quoted = (name: string): string => JSON.stringify(name);

function classCount(count: number): string {
  return count === 1 ? '1 class is' : `${count} classes are`;
}
