import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePath } from './bundle.js';

test('an existing name gets a number before its extensions', () => {
  const at = (name: string) => join(folder, name);
  const folder = mkdtempSync(join(tmpdir(), 'free.path-'));
  expect(freePath(at('mt1.work.tar'))).toBe(at('mt1.work.tar'));
  for (const name of ['mt1.work.tar', 'mt1-2.work.tar', 'run']) writeFileSync(at(name), '');
  expect(freePath(at('mt1.work.tar'))).toBe(at('mt1-3.work.tar'));
  expect(freePath(at('run'))).toBe(at('run-2'));
});
