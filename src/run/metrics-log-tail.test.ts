import {
  appendFileSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tailLines } from './metrics-log.js';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metrics-log-tail-'));
  path = join(folder, 'metrics.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** All lines that are available now, in any number of pieces. */
function drained(tail: ReturnType<typeof tailLines>): string[] {
  const { lines, unread } = tail.poll();
  return unread > 0 ? [...lines, ...drained(tail)] : [...lines];
}

test('every line is read once and complete, however writes and reads interleave', () => {
  const writes = fc.array(fc.string({ unit: fc.constantFrom('a', '{', 'é', '漢', '\n'), maxLength: 30 }), {
    maxLength: 20,
  });
  fc.assert(
    fc.property(writes, fc.integer({ min: 1, max: 40 }), (parts, chunk) => {
      writeFileSync(path, '');
      const tail = tailLines(path, chunk);
      const found = parts.flatMap((part) => {
        appendFileSync(path, part);
        return drained(tail);
      });
      expect(found).toEqual(parts.join('').split('\n').slice(0, -1));
    }),
  );
});

test('a file that is created later, truncated, replaced or deleted is read from its start', () => {
  const tail = tailLines(path);
  expect(tail.poll()).toEqual({ reset: false, lines: [], unread: 0 });
  writeFileSync(path, 'a\nb\nhal');
  expect(tail.poll()).toEqual({ reset: false, lines: ['a', 'b'], unread: 0 });
  truncateSync(path, 2);
  expect(tail.poll()).toEqual({ reset: true, lines: ['a'], unread: 0 });
  writeFileSync(`${path}.new`, 'x\ny\nz\n');
  renameSync(`${path}.new`, path);
  expect(tail.poll()).toEqual({ reset: true, lines: ['x', 'y', 'z'], unread: 0 });
  rmSync(path);
  expect(tail.poll()).toEqual({ reset: true, lines: [], unread: 0 });
});

test('a link is not followed: a run must not show other files', () => {
  writeFileSync(join(folder, 'secret'), 'secret\n');
  symlinkSync(join(folder, 'secret'), path);
  expect(tailLines(path).poll()).toEqual({ reset: false, lines: [], unread: 0 });
});
