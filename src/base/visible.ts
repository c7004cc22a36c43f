/**
 * Characters that a terminal acts on, or that change the order in which text is shown: the control characters C0, DEL
 * and C1, the line and paragraph separators, bidirectional controls, annotations and tags, and half surrogates.
 */
const CONTROLS =
  /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\u206a-\u206f\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/** As JSON writes it, so that JSON remains the same JSON. */
function written(character: string): string {
  return Array.from({ length: character.length }, (_, i) => {
    const unit = character.charCodeAt(i).toString(16).padStart(4, '0');
    return `\\u${unit}`;
  }).join('');
}

/** Text of one or more lines with its control characters written out, as `\u001b`. */
export function visible(text: string): string {
  return text.replace(CONTROLS, (found) => (found === '\n' || found === '\t' ? found : written(found)));
}

/** The same of text that is part of a line: its line breaks and tabs are written out too. */
export function visibleLine(text: string): string {
  return text.replace(CONTROLS, written);
}

const COLOUR = new RegExp(`(${String.fromCharCode(27)}\\[[\\d;]{0,16}m)`);

/** `visible`, but for sequences that choose a colour: for text of this program's own, of which the parts are visible. */
export function visibleButColours(text: string): string {
  return text
    .split(COLOUR)
    .map((part, i) => (i % 2 === 1 ? part : visible(part)))
    .join('');
}

/** A plain value with `visibleLine` of every string in it. */
export function visibleStrings<T>(value: T): T {
  if (typeof value === 'string') return visibleLine(value) as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(visibleStrings) as T;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, visibleStrings(each)])) as T;
}
