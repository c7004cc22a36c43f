import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { InputError, RunError } from '../base/errors.js';
import { writeJsonAtomic } from './atomic.js';
import { asLostResource, requireThere, tooManyOpen, withFileErrors } from './file-errors.js';

const system = (code: string) => Object.assign(new Error(`${code}: refused`), { code });

function thrown(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('no error was thrown');
}

const fileError = (code: string) =>
  thrown(() =>
    withFileErrors('/run/PT', () => {
      throw system(code);
    }),
  );

test('a read-only disk is an input error at the start, and a system error later', () => {
  const error = fileError('EROFS');
  expect(error).toBeInstanceOf(InputError);
  expect(asLostResource(error)).toMatchObject({
    name: 'RunError',
    message: 'Cannot write /run/PT: EROFS: refused',
    hint: expect.stringContaining('The disk became read-only'),
  });
});

test.each(['EACCES', 'ENOTDIR'])('%s is unchanged', (code) => {
  const error = fileError(code);
  expect(asLostResource(error)).toBe(error);
});

test.each([
  ['as it is', system('EMFILE')],
  ['of the whole system', system('ENFILE')],
  ['that a reader has wrapped', new InputError('x.tar: cannot be opened', { cause: system('EMFILE') })],
])('too many open files, %s', (_, error) => {
  for (const found of [tooManyOpen(error), asLostResource(error)]) {
    expect(found).toBeInstanceOf(RunError);
    expect(found).toMatchObject({ hint: expect.stringContaining('ulimit -n') });
  }
});

test('another error is not one of too many files', () => {
  expect(tooManyOpen(system('ENOENT'))).toBeUndefined();
});

test('a deleted run folder is named, and not recreated', () => {
  const gone = join(mkdtempSync(join(tmpdir(), 'gone-')), 'run');
  expect(() => requireThere(gone)).toThrow(`${gone} no longer exists.`);
  expect(() => writeJsonAtomic(join(gone, 'summary.json'), {}, { makesFolder: false })).toThrow();
  expect(existsSync(gone)).toBe(false);
});
