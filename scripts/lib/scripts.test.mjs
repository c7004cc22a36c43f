import { readdirSync } from 'node:fs';
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

describe('every script', () => {
  const names = readdirSync(join(root, 'scripts')).filter((name) => /^(?!.*\.test\.).*\.mjs$/.test(name));

  it.each(names)('%s --help prints its usage, and does nothing', async (name) => {
    const { code, stdout, stderr } = await capture(process.execPath, [join(root, 'scripts', name), '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^ {2}(npm|node) .*|PIP_INDEX_URL/m);
    expect(stdout).not.toMatch(/\*\/|^ \*/m);
  });

  it('ends quietly when its output is cut, as by | head', async () => {
    const script = `
      import { main } from ${JSON.stringify(join(root, 'scripts/lib/failure.mjs'))};
      await main(async () => { for (let i = 0; i < 50_000; i++) process.stdout.write('a line of text\\n'); return 0; });`;
    const command = `${process.execPath} --input-type=module -e "$0" | head -n 1; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await capture('bash', ['-c', command, script]);
    expect({ stdout, stderr }).toEqual({ stdout: 'a line of text\n0\n', stderr: '' });
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
