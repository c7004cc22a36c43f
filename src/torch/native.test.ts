import { expect, test } from 'vitest';
import { engineInfo } from './engine.js';
import { growSegments, limitSpinning } from './native.js';

test.each([
  [{}, { GOMP_SPINCOUNT: '2000' }],
  [{ GOMP_SPINCOUNT: 'infinity' }, { GOMP_SPINCOUNT: 'infinity' }],
  [{ OMP_WAIT_POLICY: 'active' }, { OMP_WAIT_POLICY: 'active' }],
  [{ OMP_NUM_THREADS: '2' }, { OMP_NUM_THREADS: '2', GOMP_SPINCOUNT: '2000' }],
])('%o becomes %o', (given: NodeJS.ProcessEnv, expected) => {
  limitSpinning(given, { load: 2, cores: 2 });
  expect(given).toEqual(expected);
});

test.each([
  { load: 0, cores: 2, spins: '2000' },
  { load: 3, cores: 2, spins: '2000' },
  { load: 3.1, cores: 2, spins: '0' },
  { load: 40, cores: 64, spins: '2000' },
])('at load $load on $cores cores, $spins spins', ({ load, cores, spins }) => {
  const env: NodeJS.ProcessEnv = {};
  limitSpinning(env, { load, cores });
  expect(env).toEqual({ GOMP_SPINCOUNT: spins });
});

test('the user’s setting is kept at any load', () => {
  const env = { OMP_WAIT_POLICY: 'active' };
  limitSpinning(env, { load: 40, cores: 2 });
  expect(env).toEqual({ OMP_WAIT_POLICY: 'active' });
});

test('libtorch is loaded with it', () => {
  expect(engineInfo().threads).toBeGreaterThan(0);
  expect(process.env.OMP_WAIT_POLICY ?? process.env.GOMP_SPINCOUNT).toBeDefined();
});

test.each([
  ['2.8.0', {}, { PYTORCH_CUDA_ALLOC_CONF: 'expandable_segments:True' }],
  ['2.13.0+cu130', {}, { PYTORCH_ALLOC_CONF: 'expandable_segments:True' }],
  [undefined, {}, { PYTORCH_ALLOC_CONF: 'expandable_segments:True' }],
  ['2.13.0', { PYTORCH_CUDA_ALLOC_CONF: 'x' }, { PYTORCH_CUDA_ALLOC_CONF: 'x' }],
  ['2.8.0', { PYTORCH_ALLOC_CONF: 'x' }, { PYTORCH_ALLOC_CONF: 'x' }],
])(
  'the allocator of libtorch %s, with %o in the environment',
  (libtorch, given: NodeJS.ProcessEnv, expected) => {
    growSegments(given, libtorch);
    expect(given).toEqual(expected);
  },
);
