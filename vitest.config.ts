import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (file: string) => fileURLToPath(new URL(`src/${file}`, import.meta.url));

// Forks, not threads: each test file gets its own process, and with it its own libtorch.
export default defineConfig({
  // What a user imports, from the sources.
  resolve: {
    alias: [
      { find: /^deep-incubation$/, replacement: source('index.ts') },
      { find: /^deep-incubation\/nn$/, replacement: source('nn/index.ts') },
      { find: /^deep-incubation\/detection$/, replacement: source('tasks/detection/index.ts') },
    ],
  },
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.mjs'],
    setupFiles: ['test/fast-check-seed.ts'],
    pool: 'forks',
    // Also on one core, two: a test file often waits for the processes that it starts.
    maxWorkers: Math.max(2, availableParallelism()),
    // Files run side by side: with one thread each, libtorch's threads do not wait for one another's cores.
    env: { OMP_NUM_THREADS: '1' },
    // Against a test that hangs; other work on the machine must not make one fail.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
