import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { chromium, needs, networkNamespaces, python, pythonPath, pythonTorch } from '../test/needs.js';
import { benchNames, compileBenches, compiledBench } from './lib/benches.mjs';
import { capture } from './lib/exec.mjs';
import { root } from './lib/paths.mjs';
import { temporaryFolder } from './lib/testing.mjs';

/**
 * Every bench with minimal settings: it must run to its end. The measurements are meaningless.
 * @type {Record<string, { args: string[], last: RegExp, wants?: import('../test/needs.js').Need, results?: true }>}
 *   `args`: `@name` is a path in a temporary folder; `last`: what its output ends with; `results`: it writes bench/results
 */
const SMOKE = {
  checkpoint: {
    args: ['--preset', 'vit-tiny', '--steps', '12', '--batch', '1', '--every', '1'],
    last: /After SIGTERM in the middle of a step the run has left in [\d.]+ s, with a checkpoint\./,
    results: true,
  },
  'co-incubation': {
    args: ['--steps', '1', '--rounds', '1', '--set', 'model.depth=4', '--set', 'model.width=16'],
    last: /\| together, in \d+ processes \| .* x \|/,
    results: true,
  },
  coco: {
    args: ['--images', '20', '--detections', '20'],
    last: /\| masks \| [\d.]+ s \| [\d.]+ s \| [\d.]+ \|/,
    wants: python,
  },
  'data-parallel': {
    args: ['--rounds', '1', '--steps', '1', '--batch', '4'],
    last: /Ours is [\d.]+ .* x as fast with 1 rank/,
    wants: pythonTorch,
  },
  failures: {
    args: ['--kills', '1', '--every', '0.2', '--width', '16'],
    last: /\| end to end \| 1 \| [\d.]+ \| [\d.]+ \| 2 \| [\d.]+ \|/,
    results: true,
  },
  kill: {
    args: ['--kills', '1', '--epochs', '1', '--work', '@kill'],
    last: /1 kills \(SIGKILL\) in \d+ runs/,
    results: true,
  },
  links: {
    args: ['--rounds', '1', '--steps', '1', '--batch', '1', '--rates', '1000'],
    last: /\| 1000 \| \d+ \| [\d.]+ \| [\d.]+ \| [\d.]+, [\d.]+ \|/,
    wants: networkNamespaces(),
  },
  loader: {
    args: ['--images', '32', '--rounds', '1'],
    last: /\| eval +\| float32 /,
    wants: pythonTorch,
    results: true,
  },
  memory: {
    args: [
      '--models',
      'vit-b',
      '--phases',
      'PT',
      '--batch',
      '2',
      '--set',
      'model.width=64',
      '--set',
      'model.heads=2',
    ],
    last: /\| vit-b \| PT \| 2 \| [\d.]+ \| [\d.]+ \| [\d.]+ \|/,
  },
  'roi-align': {
    args: ['--boxes', '4', '--channels', '8', '--size', '100', '--rounds', '1'],
    last: /\| 4 \| 8 \| [\d.]+ ms \| .* \| [\d.]* \|/,
  },
  schedule: { args: ['--steps', '1', '--width', '24'], last: /\| Deep Incubation \| [\d.]+ \|/ },
  step: {
    args: ['--quick', '--only', 'demo', '--rounds', '1', '--steps', '1', '--threads', '1'],
    last: /demo +\| MT\/1 +\| float32 +\| [\d.]+/,
    wants: pythonTorch,
    results: true,
  },
  study: {
    args: [
      ['--runs', '@runs', '--results', '@cells', '--depths', '4', '--seeds', '0'],
      ['meta-equal-cost', 'end-to-end', 'grown', 'growth'].flatMap((name) => [
        '--only',
        `small-data/4/${name}`,
      ]),
      [
        'data.fraction=0.002',
        'data.eval_images=20',
        'phases.PT.epochs=1',
        'phases.MT.epochs=1',
        'phases.FT.epochs=1',
      ].flatMap((setting) => ['--set', setting]),
    ].flat(),
    last: /\| growth, without modules +\| FT 0\.0005 +\| [\d.]+ +\|/,
  },
  threads: {
    args: ['--busy', '0', '--spins', '0', '--rounds', '1', '--steps', '1', '--threads', '2'],
    last: /2 threads, spins 0/,
    results: true,
  },
  watch: {
    args: ['--rounds', '1', '--records', '3000', '--seconds', '1'],
    last: /\| 1,000 records a second \| \d+ \|/,
    wants: chromium,
  },
  weights: { args: ['--blocks', '1', '--rounds', '1'], last: /\| reading the weights +\| [\d.]+ s/ },
};

it('every bench has a smoke run here, and every smoke run a bench', () => {
  expect(Object.keys(SMOKE).sort()).toEqual(benchNames());
});

describe('smoke runs', () => {
  beforeAll(() => compileBenches());

  for (const [name, { args, last, wants = { missing: undefined }, results }] of Object.entries(SMOKE)) {
    it(name, { timeout: 900_000, ...needs(wants) }, async () => {
      const folder = temporaryFolder();
      const env = {
        ...process.env,
        DEEP_INCUBATION_BENCH_RESULTS: join(folder, 'results'),
        ...(python.missing === undefined && { DEEP_INCUBATION_BENCH_PYTHON: pythonPath }),
      };
      const own = args.map((arg) => (arg.startsWith('@') ? join(folder, arg.slice(1)) : arg));
      const { code, output, stdout } = await capture(process.execPath, [compiledBench(name), ...own], {
        cwd: root,
        env,
      });
      expect({ code, output }).toEqual({ code: 0, output: expect.any(String) });
      expect(stdout).toMatch(last);
      const written = results ? [`${name}.json`, `${name}.md`] : [];
      expect(
        readdirSync(folder).includes('results') ? readdirSync(join(folder, 'results')).sort() : [],
      ).toEqual(written);
    });
  }
});
