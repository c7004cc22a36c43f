import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

// Compares the error messages quoted in docs/troubleshooting.md with the sources.

const root = fileURLToPath(new URL('..', import.meta.url));
const textOf = (file: string) => readFileSync(root + file, 'utf8');
const filesOf = (folder: string, name: RegExp) =>
  readdirSync(root + folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => name.test(file) && !/\.test\.\w+$/.test(file))
    .map((file) => `${folder}/${file}`);

/** All sources as one text, in which values that are known only at run time are `...`. */
const sources = [
  ...filesOf('src', /\.ts$/),
  ...filesOf('scripts', /\.mjs$/),
  ...filesOf('native', /\.(cc|h)$/),
]
  .map(textOf)
  .join('\n')
  .replace(/['`]\s*\+\s*['`]/g, '')
  .replace(/\$\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}/g, '...')
  .replace(/\\(['`"])/g, '$1');

/** The quotes in the first columns of the tables of errors. */
const quotes = [...textOf('docs/troubleshooting.md').matchAll(/^\| the error says .*?(?=\n\n)/gms)]
  .flatMap(([table]) => [...table.matchAll(/^\| (`.*?) +\|/gm)])
  .flatMap(([, cell]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, quote]) => quote));

/** Error texts of the operating system that our messages quote. */
const SYSTEM = ['permission denied', 'no space left on device'];

/** The parts of a quote that no source contains; `...` stands for any text. */
function missing(quote: string): string[] {
  const parts = quote.split('...').map((part) => part.trim());
  return parts.filter((part) => part !== '' && !sources.includes(part) && !SYSTEM.includes(part));
}

test('all tables are read, and a quote that no source prints is detected', () => {
  expect(quotes.length).toBeGreaterThan(140);
  expect(quotes).toContain('there is no C++ compiler');
  expect(missing('there is no C++ compiler ... of wood')).toEqual(['of wood']);
});

test.each(quotes)('a source prints: %s', (quote) => {
  expect(missing(quote)).toEqual([]);
});
