import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cli, temporaryFolder, tinyRecipe } from './cli-support.js';

const folder = temporaryFolder();
const recipe = join(folder, 'recipe.json');

// K = 4, 300 + 100 + 100 epochs over 300 end to end, as the paper trains; and its GMACs of a forward pass.
test.each([
  ['vit-base', 7 / 6, 55.48],
  ['vit-large', 11 / 12, 191.07],
  ['vit-huge', 41 / 48, 544.95],
])(
  'plan: Deep Incubation of %s costs %f x the block-passes of end to end',
  async (preset, ratio, forward) => {
    const training = { epochs: 100, batch_size: 256, accumulate: 8 };
    const phases = { PT: { epochs: 300 }, E2E: { epochs: 300 } };
    const image_size = preset === 'vit-huge' ? 392 : 384;
    const model = { preset, image_size };
    writeFileSync(
      recipe,
      JSON.stringify({
        name: preset,
        model,
        incubation: { modules: 4 },
        data: { format: 'folder' },
        training,
        phases,
      }),
    );
    const { code, stdout } = await cli(['plan', recipe, '--images', '1281167', '--json']);
    expect(code).toBe(0);
    const plan = JSON.parse(stdout);
    expect(plan.ratio.block_passes).toBeCloseTo(ratio, 10);
    // The stem's input needs no gradient: a little less than three forward passes.
    const { images } = plan.phases.at(-1);
    expect(plan.end_to_end.macs / images / 3e9 / forward).toBeCloseTo(0.998, 2);
  },
);

test('plan prints the table, and measures', async () => {
  writeFileSync(recipe, JSON.stringify(tinyRecipe(folder)));
  const args = ['plan', recipe, '--images', '16'];
  const { stdout } = await cli(args);
  expect(stdout).toMatch(/^MT\/1 +1 2 /m);
  expect(stdout).toMatch(/^Deep Incubation costs [\d.]+ x the block-passes of end to end/m);
  const { phases } = JSON.parse((await cli([...args, '--measure', '--json'])).stdout);
  for (const { seconds } of phases) expect(seconds).toBeGreaterThan(0);
});

test('doctor tells what was found', async () => {
  const { code, stdout } = await cli(['doctor', '--json']);
  expect(code).toBe(0);
  const { libtorch, devices, threads, blas, mkl_avx512, decoders, problems } = JSON.parse(stdout);
  expect(libtorch.version).toMatch(/^2\.\d+/);
  expect(devices[0]).toBe('cpu');
  expect(threads).toBeGreaterThan(0);
  expect(blas.openmp).toContain('OpenMP');
  expect(typeof mkl_avx512.instructions).toBe('boolean');
  expect(decoders.libvips).toMatch(/^\d+\./);
  expect(problems.filter(({ blocking }: { blocking: boolean }) => blocking)).toEqual([]);
});
