import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { backgroundWriting } from './phase-observer.js';

test('a failure is thrown at the next check, not before and not unhandled', async () => {
  const writing = backgroundWriting();
  await writing.check();
  let fail = (_: Error) => {};
  writing.start(new Promise((_, reject) => (fail = reject)));
  await writing.check();
  fail(new Error('disk full'));
  await sleep(1);
  await expect(writing.check()).rejects.toThrow('disk full');
  await expect(writing.done()).rejects.toThrow('disk full');
});

test('done waits for the work', async () => {
  const writing = backgroundWriting();
  let isWritten = false;
  writing.start(
    sleep(20).then(() => {
      isWritten = true;
    }),
  );
  await writing.done();
  expect(isWritten).toBe(true);
});
