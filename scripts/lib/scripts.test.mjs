import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { capture } from './exec.mjs';
import { root } from './paths.mjs';
import { createSteps } from './steps.mjs';

describe('createSteps', () => {
  it('prints each step with its time and finding, and the total time last', async () => {
    let text = '';
    const steps = createSteps({ out: { write: (part) => (text += part) } });
    const answer = await steps.run(
      'first',
      (note) => {
        note('long');
        return 42;
      },
      (result) => `found ${result}`,
    );
    steps.finish('set up');
    expect(answer).toBe(42);
    expect(text).toMatch(/^first +\.\.\. long\nfirst +\d+\.\d s {2}found 42\nset up in \d+\.\d s\n$/);
  });
});

describe('scripts/setup.mjs', () => {
  it.each([
    [['--only', 'libtorch,nonsense'], "--only: unknown step 'nonsense'"],
    [['--fast'], "Unknown option '--fast'"],
  ])('refuses %j with exit code 2 and no stack', async (args, sentence) => {
    const result = await capture(process.execPath, [join(root, 'scripts/setup.mjs'), ...args]);
    expect(result.code).toBe(2);
    expect(result.stderr).toContain(`error: ${sentence}`);
    expect(result.stderr).not.toContain('    at ');
  });

  it('reports a cache without write permission in one sentence', async () => {
    const env = { ...process.env, DEEP_INCUBATION_CACHE: '/dev/null/cache', FASHION_MNIST: '' };
    const args = [join(root, 'scripts/setup.mjs'), '--only', 'images'];
    const result = await capture(process.execPath, args, { env });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/^error: ENOTDIR: .*'\/dev\/null\/cache'\.\n {2}Check its permissions/);
    expect(result.stderr).not.toContain('    at ');
  });
});
