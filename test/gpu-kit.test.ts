import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Case, readCases } from '../bench/gpu/cases.js';
import { flopsPerImage } from '../bench/gpu/flops.js';
import type { Finding } from '../bench/gpu/report.js';
import { tableOf } from '../bench/gpu/table.js';
import { pythonPath, pythonTorch } from './needs.js';

// The GPU kit's dry run: every section at tiny size, the Node sections on the fake accelerator.

const root = fileURLToPath(new URL('..', import.meta.url));
const FAKE = join(root, 'test/fake-accelerator/build/fake_accelerator.node');
const LIMIT_MS = 1_800_000;
/** Timed cases; together they cover augmentation, a frozen prefix and torch.compile. */
const CASES = ['deit-t-12', 'vit-b-mt1', 'vit-b-recipe'];

const folder = mkdtempSync(join(tmpdir(), 'gpu-kit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs bench/gpu/run; its findings and its table. */
async function kit(name: string, env: NodeJS.ProcessEnv, sections: string[] = []) {
  const out = join(folder, name);
  const own = {
    OUT: out,
    KIT_WORK: join(folder, `${name}-work`),
    KIT_NODE: process.execPath,
    KIT_SCALE: 'tiny',
  };
  await promisify(execFile)('bash', [join(root, 'bench/gpu/run'), ...sections], {
    env: { ...process.env, OMP_NUM_THREADS: '1', ...own, ...env },
    maxBuffer: 1 << 26,
  });
  const text = readFileSync(join(out, 'report.jsonl'), 'utf8');
  const findings = text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Finding);
  const codes = new Map(
    findings
      .filter(({ section }) => section === 'section')
      .map(({ name, code }) => [String(name), String(code)]),
  );
  return { findings, codes, table: readFileSync(join(out, 'table.txt'), 'utf8') };
}

/** The Python of the tests, otherwise the first one, which imports torch from libtorch's folder. */
const { libtorch } = JSON.parse(readFileSync(join(root, 'native/build/info.json'), 'utf8'));
const TORCH =
  pythonTorch.missing === undefined
    ? { KIT_VENV: dirname(dirname(pythonPath)) }
    : { KIT_VENV: join(folder, 'none'), PYTHONPATH: dirname(libtorch.path) };
const importer = pythonTorch.missing === undefined ? pythonPath : 'python3';
const imported = spawnSync(importer, ['-c', 'import torch'], { env: { ...process.env, ...TORCH } });
const hasTorch = imported.status === 0;

describe('the dry run', () => {
  let done: Awaited<ReturnType<typeof kit>>;
  beforeAll(async () => {
    if (!existsSync(FAKE))
      throw new Error('`node scripts/setup.mjs --only fake-gpu` builds the fake accelerator');
    done = await kit('dry', {
      KIT_BUDGET: String(LIMIT_MS / 1000 - 10),
      KIT_DEVICE: 'fake:0',
      KIT_FAKE: FAKE,
      KIT_CASES: CASES.join(' '),
      // A dry run shows that the call works; compiling takes a minute.
      KIT_COMPILER: 'eager',
      ...TORCH,
    });
  }, LIMIT_MS);

  test('runs every section to its end', () => {
    const python = ['machine', 'torch deit-t-12', 'torch vit-b-mt1'];
    expect([...done.codes].filter(([name]) => !python.includes(name))).toEqual(
      [
        ...['load', 'identify', 'images', 'golden', 'against-cpu', 'group'],
        ...CASES.map((name) => `ours ${name}`),
        ...['method', 'failures', 'loader'],
      ].map((name) => [name, '0']),
    );
    // Without a Python that imports torch, PyTorch's sections report this.
    const expected = hasTorch ? '0' : expect.stringMatching(/^skipped: .*Error: /);
    expect(python.map((name) => done.codes.get(name))).toEqual(python.map(() => expected));
  });

  test('finds no problem', () => {
    expect(done.findings.filter(({ ok }) => ok === false)).toEqual([]);
    expect(done.table).not.toContain('WRONG');
    const checks = done.findings.filter(({ section, ok }) => section === 'correct' && ok === true);
    expect(checks).toHaveLength(25);
    const skipped = done.findings.filter(({ skipped }) => skipped !== undefined);
    for (const { who } of skipped) expect(who).toBe('compile');
  });

  test('times each variant of a case', () => {
    const who = (name: string) =>
      done.findings
        .filter(({ section, case: of }) => section === 'step' && of === name)
        .map(({ who }) => who);
    const others = hasTorch ? ['eager', 'best'] : [];
    expect(who('deit-t-12')).toEqual(['ours', ...others, ...(hasTorch ? ['compile'] : [])]);
    expect(who('vit-b-mt1')).toEqual(['ours', ...others]);
    expect(who('vit-b-recipe')).toEqual(['ours']);
  });

  /** Blocking copies and reads; docs/results.md has these figures. */
  test.each([
    ['deit-t-12', 0, 0],
    ['vit-b-mt1', 0, 0],
    ['vit-b-recipe', 0, 0],
  ])('counts the device operations of a step of %s', (name, copies, reads) => {
    const ours = done.findings.find(({ case: of, who }) => of === name && who === 'ours');
    expect(Number(ours?.kernels)).toBeGreaterThan(300);
    expect(Number(ours?.blocking_copies)).toBeLessThanOrEqual(copies);
    expect(Number(ours?.scalar_reads)).toBeLessThanOrEqual(reads);
  });
});

describe('a section that fails', () => {
  test('does not stop the next one, and the findings are printed without a table', async () => {
    const { codes, table } = await kit('broken', { KIT_NODE: '/bin/false' }, ['correct', 'group']);
    expect([...codes]).toEqual(
      ['load', 'rebuild', 'images', 'golden', 'against-cpu', 'group'].map((name) => [name, '1']),
    );
    expect(table).toContain('"name": "group", "code": "1"');
  });

  test('is stopped when its time is over; the others report that no time is left', async () => {
    const slow = join(folder, 'slow-node');
    writeFileSync(slow, '#!/bin/sh\n[ "$1" = -e ] && exec sleep 600\nexit 0\n', { mode: 0o755 });
    const { codes } = await kit('slow', { KIT_NODE: slow, KIT_BUDGET: '8' }, ['group']);
    expect([...codes]).toEqual([
      ['load', '124'],
      ...['rebuild', 'images', 'group'].map((name) => [name, 'skipped: no time left']),
    ]);
  });
});

describe('the table', () => {
  const cases = readCases({ isTiny: false });
  const given = (name: string) => cases.find((one) => one.name === name) as Case;

  test('FLOPs of a step are three forward passes, as published for ViT-B, L and H', () => {
    const forward = (name: string) => flopsPerImage(given(name)) / 3 / 2e9;
    expect(forward('vit-b')).toBeCloseTo(17.56, 1);
    expect(forward('vit-l')).toBeCloseTo(61.55, 1);
    expect(forward('vit-h')).toBeCloseTo(167.3, 0);
  });

  test('a frozen prefix goes forward only, a frozen suffix needs no gradients of weights', () => {
    const { vit, depths } = given('vit-b-mt1');
    const block = 24 * 197 * vit.width ** 2 + 4 * 197 ** 2 * vit.width;
    const ends = 2 * 196 * 3 * 16 ** 2 * vit.width + 2 * 2 * vit.width * vit.classes;
    const [before, own, ...after] = depths;
    const passes = before + 3 * own + 2 * after.reduce((sum, depth) => sum + depth, 0);
    expect(flopsPerImage(given('vit-b-mt1'))).toBeCloseTo(passes * block + ends, -3);
  });

  test('shows steps with their MFU, failures, and failed checks', () => {
    const text = tableOf(
      [
        { section: 'step', case: 'vit-b', who: 'ours', ms: 100, images_per_s: 4690, first_step_ms: 900 },
        { section: 'step', case: 'vit-l', who: 'best', ok: false, error: 'RuntimeError: no' },
        { section: 'correct', check: 'a', limit: 1e-4, ok: true, value: 2e-7 },
        { section: 'correct', check: 'b', limit: 1e-4, ok: false, value: 0.1 },
        { section: 'correct', check: 'c', limit: null, ok: null, value: 0.3 },
        { section: 'section', name: 'golden', code: '124', seconds: 60 },
      ],
      cases,
    );
    // 4,690 images a second are half of 989 TFLOP/s.
    expect(text).toMatch(/^vit-b +128 +ours +100\.00 +- +4690 +50\.0 .* 0\.9 /m);
    expect(text).toMatch(/^WRONG step: .*vit-l.*RuntimeError: no/m);
    expect(text).toContain('1 of 2 comparisons hold; their largest difference is 2.0e-7');
    expect(text).toMatch(/^WRONG correct: b .*0\.1/m);
    expect(text).toMatch(/^ +correct: c .*0\.3/m);
    expect(text).toContain('golden: 124, 60 s');
  });
});
