import { beforeEach, expect, test, vi } from 'vitest';
import { RunError } from './errors.js';
import { startThread } from './thread.js';

/** Threads that the system refuses before it starts one. */
const system = vi.hoisted(() => ({ refuses: 0, asked: 0 }));
beforeEach(() => Object.assign(system, { refuses: 0, asked: 0 }));

vi.mock('node:worker_threads', async (original) => {
  const threads = await original<typeof import('node:worker_threads')>();
  return {
    ...threads,
    Worker: class extends threads.Worker {
      constructor(...args: ConstructorParameters<typeof threads.Worker>) {
        // As in Node: the message is the system's error code.
        if (system.asked++ < system.refuses)
          throw Object.assign(new Error('EAGAIN'), { code: 'ERR_WORKER_INIT_FAILED' });
        super(...args);
      }
    },
  };
});

/** Runs in the thread. */
function double(): void {
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
  parentPort?.postMessage(2 * workerData);
}

const answerOf = (thread: ReturnType<typeof startThread>) =>
  new Promise((resolve) => thread.on('message', resolve));

test('a function runs in a thread with its data', async () => {
  expect(await answerOf(startThread(double, 21))).toBe(42);
});

test('a temporary lack of threads is retried', async () => {
  system.refuses = 2;
  expect(await answerOf(startThread(double, 4))).toBe(8);
  expect(system.asked).toBe(3);
});

test('a lasting lack of threads is an error that says what to check', () => {
  system.refuses = 99;
  expect(() => startThread(double, 1)).toThrow(RunError);
  expect(() => startThread(double, 1)).toThrow('the system failed to start another thread (EAGAIN)');
});
