import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { StagedModel } from '../src/models/staged.js';
import { weightsOf } from '../src/nn/weights.js';
import { blockPasses } from '../src/plan/cost.js';
import type { TrainOptions } from '../src/training/trainer.js';
import { temporaryFolder } from './cli-support.js';
import { shownIn, sourceOf, writeStripes } from './examples-support.js';

/** What the example trained, in order. */
interface Trained {
  readonly phase: string;
  readonly model: StagedModel;
  readonly steps: number;
  readonly before: Map<string, Uint8Array>;
  readonly after: Map<string, Uint8Array>;
  readonly losses: readonly number[];
}
const phases = vi.hoisted(() => [] as unknown[]) as Trained[];

vi.mock('deep-incubation', async (original) => {
  const library = await original<typeof import('../src/index.js')>();
  const bytes = (model: StagedModel) =>
    new Map([...weightsOf(model)].map(([name, { data }]) => [name, data] as const));
  const train = async (options: TrainOptions) => {
    const model = options.model as StagedModel;
    const { phase, steps } = options;
    const losses: number[] = [];
    const before = bytes(model);
    await library.train({ ...options, afterStep: ({ loss }) => void losses.push(loss) });
    phases.push({ phase, model, steps, before, after: bytes(model), losses });
  };
  return { ...library, train };
});

const printed: string[] = [];

beforeAll(async () => {
  const images = temporaryFolder();
  await writeStripes(images);
  vi.spyOn(console, 'log').mockImplementation((line) => printed.push(line));
  process.argv = [...process.argv.slice(0, 2), '0.1', images];
  await import('../examples/loop.js');
});

const phaseOf = (name: string) => phases.find(({ phase }) => phase === name) as Trained;
/** Byte by byte. */
const same = (a?: Uint8Array, b?: Uint8Array) =>
  a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe('examples/loop.ts', () => {
  test('trains the meta model, each module, the assembled model and the baseline', () => {
    expect(phases.map(({ phase }) => phase)).toEqual(['PT', 'MT/0', 'MT/1', 'MT/2', 'MT/3', 'FT', 'E2E']);
    expect(phases.map(({ model }) => model.stages.map(({ blocks }) => blocks.length).join(''))).toEqual([
      ...['1111', '2111', '1211', '1121', '1112', '2222', '2222'],
    ]);
    for (const line of printed)
      expect(line).toMatch(/^(PT|MT\/\d|FT|E2E) +top-1 \d+\.\d\d %, loss \d+\.\d{3}$/);
    expect(printed).toHaveLength(7);
  });

  test.each(['PT', 'FT', 'E2E'])('the loss of %s falls', (name) => {
    const { losses } = phaseOf(name);
    const half = Math.floor(losses.length / 2);
    expect(mean(losses.slice(-half))).toBeLessThan(mean(losses.slice(0, half)));
  });

  test.each([0, 1, 2, 3])(
    'in the hybrid of module %i everything else is the meta model, and unchanged',
    (index) => {
      const { before, after } = phaseOf(`MT/${index}`);
      for (const [name, data] of after) {
        if (name.startsWith(`stages.${index}.`)) continue;
        expect([name, same(data, phaseOf('PT').after.get(name))]).toEqual([name, true]);
      }
      const own = [...after.keys()].filter((name) => name.startsWith(`stages.${index}.blocks.1.`));
      expect(own).toHaveLength(12);
      for (const name of own) expect([name, same(before.get(name), after.get(name))]).toEqual([name, false]);
    },
  );

  test('FT starts bit-identically from the modules, and tunes all of them', () => {
    const { before, after } = phaseOf('FT');
    for (const [name, data] of before) {
      const [, index] = name.split('.');
      expect([name, same(data, phaseOf(`MT/${index}`).after.get(name))]).toEqual([name, true]);
      expect([name, same(data, after.get(name))]).toEqual([name, false]);
    }
  });

  test('the baseline costs as much as all other phases', () => {
    const costs = phases.map(({ phase, model: { stages, regimes }, steps }) => {
      const depths = stages.map(({ blocks }) => blocks.length);
      return { phase, passes: steps * blockPasses(depths, regimes) };
    });
    const own = costs.filter(({ phase }) => phase !== 'E2E').reduce((sum, { passes }) => sum + passes, 0);
    // To a step: the steps are rounded.
    expect(Math.abs((costs.at(-1)?.passes ?? 0) - own)).toBeLessThanOrEqual(24);
  });
});

test('docs/own-model.md shows the example unchanged', () => {
  expect(shownIn('Your own training loop')).toBe(sourceOf('loop.ts'));
});
