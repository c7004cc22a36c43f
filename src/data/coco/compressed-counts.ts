import { InputError } from '../../base/errors.js';

// COCO's text form of run lengths: from the fourth on, each is stored as its difference from the one two before. A number is groups
// of five bits, lowest first, each as the character 48 + group + (32 if more follow); the highest bit of the last one is the sign.

const FIRST = 48;
const MORE = 0x20;
const SIGN = 0x10;
/** Groups of the longest number: 32 bits and the sign. */
const MOST_GROUPS = 7;

/** The text form of run lengths. */
export function compressCounts(counts: ArrayLike<number>): string {
  const codes: number[] = [];
  for (let i = 0; i < counts.length; i++) {
    let left = i > 2 ? counts[i] - counts[i - 2] : counts[i];
    for (let more = true; more; ) {
      const group = left & 0x1f;
      left = Math.floor(left / 32);
      more = group & SIGN ? left !== -1 : left !== 0;
      codes.push(FIRST + group + (more ? MORE : 0));
    }
  }
  return codes.map((code) => String.fromCharCode(code)).join('');
}

/** @throws InputError saying what is wrong with the text */
export function expandCounts(text: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length; ) {
    let value = 0;
    for (let group = 0; ; group++, at++) {
      const code = text.charCodeAt(at) - FIRST;
      if (at >= text.length) throw new InputError('ends in the middle of a number');
      if (!(code >= 0 && code < 64)) throw new InputError(`has the invalid character ${quoted(text[at])}`);
      if (group === MOST_GROUPS) throw new InputError(`has too long a number at character ${at}`);
      value += (code & 0x1f) * 32 ** group;
      if (code & MORE) continue;
      if (code & SIGN) value -= 32 ** (group + 1);
      at++;
      break;
    }
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}

const quoted = (text: string) => JSON.stringify(text);
