import { isAbsolute } from 'node:path';
/**
 * Decodes a file name, even if it is not UTF-8: each byte outside a valid sequence becomes the lone surrogate
 * U+DC00 + byte, as in Python's `surrogateescape` (PEP 383). `pathOf` restores the bytes.
 */
export function nameOf(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (!text.includes('\ufffd') || Buffer.from(text).equals(bytes)) return text;
  let name = '';
  for (let at = 0; at < bytes.length; ) {
    const character = bytes.subarray(at, at + sequenceLength(bytes[at]));
    const decoded = character.toString('utf8');
    const isValid = Buffer.from(decoded).equals(character);
    name += isValid ? decoded : String.fromCharCode(0xdc00 + bytes[at]);
    at += isValid ? character.length : 1;
  }
  return name;
}

/** Converts a path with names from `nameOf` to the form that `node:fs` accepts. */
export function pathOf(path: string): string | Buffer {
  return isUtf8(path) ? path : pathBytes(path);
}

/** The bytes of a name or path, the inverse of `nameOf`. */
export function pathBytes(path: string): Buffer {
  if (isUtf8(path)) return Buffer.from(path);
  const parts = path.split(/([\udc80-\udcff])/u);
  return Buffer.concat(
    parts.map((part, i) => (i % 2 === 0 ? Buffer.from(part) : Buffer.of(part.charCodeAt(0) - 0xdc00))),
  );
}

/** A name or path for display, with bytes that are not UTF-8 as `\xE9`. */
export function shownName(name: string): string {
  return isUtf8(name)
    ? name
    : name.replace(
        /[\udc80-\udcff]/gu,
        (byte) => `\\x${(byte.charCodeAt(0) - 0xdc00).toString(16).toUpperCase()}`,
      );
}

/** Sorts names by code points, as Python does; JavaScript's order differs beyond U+FFFF. */
export function sortedNames(names: string[]): string[] {
  return names.some((name) => /[\ud800-\udfff]/.test(name)) ? names.sort(byCodePoints) : names.sort();
}

function byCodePoints(a: string, b: string): number {
  const [left, right] = [a, b].map((name) => Array.from(name, (character) => character.codePointAt(0) ?? 0));
  const at = left.findIndex((point, i) => point !== right[i]);
  return at < 0 ? left.length - right.length : left[at] - (right[at] ?? -1);
}

function isUtf8(name: string): boolean {
  return !/\p{Surrogate}/u.test(name);
}

function sequenceLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc0 ? 2 : 1;
}

/** Message that a path from a recipe or a command does not exist; for a relative path, it names the working folder. */
export function absent(path: string): string {
  return `${path} does not exist${isAbsolute(path) ? '' : ` in ${process.cwd()}`}`;
}
