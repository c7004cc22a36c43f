import { expect, test } from 'vitest';
import { engineInfo } from './engine.js';
import { limitSpinning } from './thread-waiting.js';

test.each([
  [{}, { GOMP_SPINCOUNT: '2000' }],
  [{ GOMP_SPINCOUNT: 'infinity' }, { GOMP_SPINCOUNT: 'infinity' }],
  [{ OMP_WAIT_POLICY: 'active' }, { OMP_WAIT_POLICY: 'active' }],
  [{ OMP_NUM_THREADS: '2' }, { OMP_NUM_THREADS: '2', GOMP_SPINCOUNT: '2000' }],
])('%o becomes %o', (given: NodeJS.ProcessEnv, expected) => {
  limitSpinning(given);
  expect(given).toEqual(expected);
});

test('libtorch is loaded with it', () => {
  expect(engineInfo().threads).toBeGreaterThan(0);
  expect(process.env.OMP_WAIT_POLICY ?? process.env.GOMP_SPINCOUNT).toBeDefined();
});
