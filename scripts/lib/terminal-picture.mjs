// A terminal's screen as an SVG, for the pictures in docs/.

/** @typedef {{ text: string, style: Style }} Cell */
/** @typedef {'plain' | 'bold' | 'dim' | 'green' | 'cyan'} Style */

/** Colours of the styles, on a dark background. @type {Record<Style, string>} */
const COLOURS = { plain: '#d6dae0', bold: '#ffffff', dim: '#7d8590', green: '#7ec699', cyan: '#6cc7e0' };
/** Select Graphic Rendition codes that the program uses. @type {Record<string, Style>} */
const STYLES = { 0: 'plain', 1: 'bold', 2: 'dim', 22: 'plain', 32: 'green', 36: 'cyan', 39: 'plain' };

const ESCAPE = String.fromCharCode(27);
/** A control sequence with a number, or a character. */
const PIECES = new RegExp(`${ESCAPE}\\[(\\d*)([A-Za-z])|[^${ESCAPE}]`, 'gu');

/**
 * The screen that output leads to. Understands what the program's live block writes: line ends, colours, "up n lines" and
 * "erase below".
 * @param {string} output
 * @returns {Cell[][]}
 */
export function screenOf(output) {
  /** @type {Cell[][]} */
  let rows = [[]];
  let row = 0;
  /** @type {Style} */
  let style = 'plain';
  for (const [piece, count, command] of output.matchAll(PIECES)) {
    if (command === 'A') row = Math.max(row - Number(count || 1), 0);
    else if (command === 'J') rows = [...rows.slice(0, row), []];
    else if (command === 'm') style = STYLES[count || '0'] ?? 'plain';
    else if (piece === '\n') rows[++row] ??= [];
    else if (command === undefined && piece !== '\r') rows[row].push({ text: piece, style });
  }
  return rows;
}

/** @param {Cell[]} row */
export const textOf = (row) => row.map(({ text }) => text).join('');

const [WIDTH, HEIGHT, MARGIN] = [8.43, 20, 16];

/**
 * @param {Cell[][]} rows
 * @param {string} label  alternative text
 */
export function svgOf(rows, label) {
  const width = Math.ceil(2 * MARGIN + WIDTH * Math.max(...rows.map(({ length }) => length)));
  const height = rows.length * HEIGHT + MARGIN;
  const texts = rows.flatMap((row, line) =>
    runsOf(row).map((run) => textElement(run, 30 + line * HEIGHT - 4)),
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(label)}">
<rect width="100%" height="100%" rx="8" fill="#14171c"/>
<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">
${texts.join('\n')}
</g>
</svg>
`;
}

/** Neighbouring cells of one style, without the spaces between words that are far apart. @param {Cell[]} row */
function runsOf(row) {
  /** @type {{ at: number, text: string, style: Style }[]} */
  const runs = [];
  for (const [at, { text, style }] of row.entries()) {
    const last = runs.at(-1);
    const isNext = last !== undefined && last.at + [...last.text].length === at && last.style === style;
    if (isNext && !(text === ' ' && last.text.endsWith(' '))) last.text += text;
    else if (text !== ' ') runs.push({ at, text, style });
  }
  return runs.map((run) => ({ ...run, text: run.text.trimEnd() }));
}

/** @param {{ at: number, text: string, style: Style }} run @param {number} y */
function textElement({ at, text, style }, y) {
  const x = (MARGIN + at * WIDTH).toFixed(1);
  const length = ([...text].length * WIDTH).toFixed(1);
  return `<text x="${x}" y="${y}" textLength="${length}" lengthAdjust="spacingAndGlyphs" fill="${COLOURS[style]}">${escaped(text)}</text>`;
}

/** @param {string} text */
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
