import { expect, it } from 'vitest';
import { screenOf, svgOf, textOf } from './terminal-picture.mjs';

const ESCAPE = String.fromCharCode(27);

it('replaces the lines that a live block erases, and keeps those above', () => {
  const output = `kept\r\nold 1\r\nold 2\r\n${ESCAPE}[2A\r${ESCAPE}[0J${ESCAPE}[32m✓${ESCAPE}[39m new\r\n`;
  const screen = screenOf(output);
  expect(screen.map(textOf)).toEqual(['kept', '✓ new', '']);
  expect(screen[1].map(({ style }) => style)).toEqual(['green', 'plain', 'plain', 'plain', 'plain']);
});

it('draws each run of text at its column, in its colour, escaped', () => {
  const svg = svgOf(screenOf(`a <b>   c\r\n${ESCAPE}[2mdim${ESCAPE}[22m`), 'a "label"');
  const texts = [...svg.matchAll(/<text x="([\d.]+)" y="(\d+)".*?fill="(.*?)">(.*?)<\/text>/g)].map((m) =>
    m.slice(1),
  );
  expect(texts).toEqual([
    ['16.0', '26', '#d6dae0', 'a &lt;b>'],
    ['83.4', '26', '#d6dae0', 'c'],
    ['16.0', '46', '#7d8590', 'dim'],
  ]);
  expect(svg).toContain('aria-label="a &quot;label&quot;"');
});
