import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { quoted } from './shell.js';

test('a shell reads a quoted word as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (word) => {
      fc.pre(!word.includes('\0'));
      expect(execFileSync('sh', ['-c', `printf %s ${quoted(word)}`], { encoding: 'utf8' })).toBe(word);
    }),
    { numRuns: 30 },
  );
});
