/**
 * Characters that a terminal interprets, or that change the order in which text is shown: the control characters C0, DEL
 * and C1, line and paragraph separators, bidirectional controls, annotations and tags, and lone surrogates.
 */
const CONTROLS =
  /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\u206a-\u206f\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|\p{Cs}/gu;

/** Escapes a character as JSON does, so that escaped JSON still parses to the same value. */
function written(character: string): string {
  return Array.from({ length: character.length }, (_, i) => {
    const unit = character.charCodeAt(i).toString(16).padStart(4, '0');
    return `\\u${unit}`;
  }).join('');
}

/** Escapes the control characters of a text (as `\u001b`), except line breaks and tabs. */
export function visible(text: string): string {
  return text.replace(CONTROLS, (found) => (found === '\n' || found === '\t' ? found : written(found)));
}

/** `visible` for text within a line: line breaks and tabs are escaped too. */
export function visibleLine(text: string): string {
  return text.replace(CONTROLS, written);
}

const COLOUR = new RegExp(`(${String.fromCharCode(27)}\\[[\\d;]{0,16}m)`);

/** `visible`, except that colour sequences are kept: for this program's own text, whose parts are already escaped. */
export function visibleButColours(text: string): string {
  return text
    .split(COLOUR)
    .map((part, i) => (i % 2 === 1 ? part : visible(part)))
    .join('');
}

/** Applies `visibleLine` to every string in a plain value. */
export function visibleStrings<T>(value: T): T {
  if (typeof value === 'string') return visibleLine(value) as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(visibleStrings) as T;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, visibleStrings(each)])) as T;
}
