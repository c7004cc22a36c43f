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

/** The sources, in which values that are known only at run time are `...`. */
const sources = [
  ...filesOf('src', /\.ts$/),
  ...filesOf('scripts', /\.mjs$/),
  ...filesOf('native', /\.(cc|h)$/),
].map((file) =>
  textOf(file)
    .replace(/['`]\s*\+\s*['`]/g, '')
    .replace(/\$\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}/g, '...')
    .replace(/\\(['`"])/g, '$1'),
);

/** The quotes in the first columns of the tables of errors. */
const quotes = [...textOf('docs/troubleshooting.md').matchAll(/^\| the error says .*?(?=\n\n)/gms)]
  .flatMap(([table]) => [...table.matchAll(/^\| (`.*?) +\|/gm)])
  .flatMap(([, cell]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, quote]) => quote));

/** Error texts of the operating system that our messages quote. */
const SYSTEM = ['permission denied', 'no space left on device'];

/** Messages that are put together from parts at several places: what is wrong, and with what. */
const COMPOSED = [
  'annotation ...: ... is missing',
  'result ...: ... is missing',
  'evaluation images ... do not fit the model',
  'evaluation images ... cannot be read',
];

/** Maximum number of characters between two parts of a message in a source file. */
const NEAR = 600;

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** Whether a source file contains the parts of a quote in their order; `...` stands for any text. */
function isPrinted(quote: string): boolean {
  const parts = quote
    .split('...')
    .map((part) => part.trim())
    .filter((part) => part !== '' && !SYSTEM.includes(part));
  const contains = (text: string) => sources.some((source) => source.includes(text));
  if (COMPOSED.includes(quote)) return parts.every(contains);
  const inOrder = new RegExp(parts.map(escaped).join(`[^]{0,${NEAR}}?`));
  return sources.some((source) => inOrder.test(source));
}

test('all tables are read, and a quote that no source prints is detected', () => {
  expect(quotes.length).toBeGreaterThan(140);
  expect(quotes).toContain('there is no C++ compiler');
  expect(isPrinted('there is no C++ compiler')).toBe(true);
  expect(isPrinted('there is no C++ compiler ... of wood')).toBe(false);
  // Each part is in the sources, but not in one message.
  expect(isPrinted('images to evaluate on ... do not fit the model')).toBe(false);
});

test.each(quotes)('a source prints: %s', (quote) => {
  expect(isPrinted(quote)).toBe(true);
});
