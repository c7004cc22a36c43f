import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';

const folder = temporaryFolder();
const recipe = join(folder, 'recipe.json');

// K = 4, 300 + 100 + 100 epochs over 300 end to end, as the paper trains; and its GMACs of a forward pass.
test.each([
  ['vit-base', 7 / 6, 55.48],
  ['vit-large', 11 / 12, 191.07],
  ['vit-huge', 41 / 48, 544.95],
])('plan: Deep Incubation of %s costs %f x the block-passes and', async (preset, ratio, forward) => {
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
});

test('plan prints the table, and measures', async () => {
  writeFileSync(recipe, JSON.stringify(tinyRecipe(folder)));
  const args = ['plan', recipe, '--images', '16'];
  const { stdout } = await cli(args);
  expect(stdout).toMatch(/^MT\/1 +1 2 /m);
  expect(stdout).toMatch(
    /^Deep Incubation costs [\d.]+ x the block-passes and [\d.]+ x the MACs of end-to-end training/m,
  );
  const { phases } = JSON.parse((await cli([...args, '--measure', '--json'])).stdout);
  for (const { seconds } of phases) expect(seconds).toBeGreaterThan(0);
});

test('plan of a recipe without incubation lists only E2E', async () => {
  const { phases, ...tiny } = tinyRecipe(folder) as { phases: { E2E: object } };
  writeFileSync(recipe, JSON.stringify({ ...tiny, incubation: 'none', phases }));
  const args = ['plan', recipe, '--images', '16'];
  const { stdout } = await cli(args);
  expect(stdout).not.toMatch(/^(PT|MT|FT|Deep Incubation)/m);
  expect(stdout).toMatch(/^The recipe trains only end to end/m);
  const { ratio, end_to_end, incubation } = JSON.parse((await cli([...args, '--json'])).stdout);
  expect([ratio, incubation.block_passes, end_to_end.block_passes > 0]).toEqual([null, 0, true]);
  const [table, schedules] = await Promise.all(
    [[], ['--json']].map((more) => cli([...args, '--devices', '2', ...more])),
  );
  expect(table.stdout).toMatch(/^2 +[\d.]+ MMAC +\d+ %/m);
  expect(JSON.parse(schedules.stdout).schedules[0]).toMatchObject({ incubation: null, speed_up: null });
});

test('plan --images applies data.fraction and data.train_images', async () => {
  writeFileSync(recipe, JSON.stringify(tinyRecipe(folder)));
  const left = async (...set: string[]) => {
    const args = set.flatMap((each) => ['--set', each]);
    return JSON.parse((await cli(['plan', recipe, '--images', '1000', '--json', ...args])).stdout)
      .train_images;
  };
  expect(await left()).toBe(1000);
  expect(await left('data.fraction=0.25')).toBe(250);
  expect(await left('data.fraction=0.25', 'data.train_images=96')).toBe(96);
});

describe('plan --devices', () => {
  const args = ['plan', recipe, '--images', '64'];
  // 60 epochs of 8 steps in PT, 2 of each other phase; a step of 4 micro-batches in FT and E2E.
  const shared = { batch_size: 2, total_batch: 8 };
  beforeEach(() => {
    const tiny = tinyRecipe(folder) as { phases: { E2E: object } };
    const phases = { ...tiny.phases, FT: shared, E2E: { ...tiny.phases.E2E, ...shared } };
    writeFileSync(recipe, JSON.stringify({ ...tiny, phases }));
  });

  test('step times given, as text or as a file', async () => {
    const inFile = join(folder, 'times.json');
    writeFileSync(inFile, JSON.stringify({ PT: 10, 'MT/0': 50, MT: 20, FT: 400, E2E: 400 }));
    for (const times of ['PT=10,MT/0=50,MT=20,FT=400,E2E=400', inFile]) {
      const asked = ['--devices', '1,2,8', '--step-ms', times, '--bandwidth', '1000', '--json'];
      const { code, stdout } = await cli([...args, ...asked]);
      expect(code).toBe(0);
      const { unit, schedules } = JSON.parse(stdout);
      expect(unit).toBe('seconds');
      // PT 4.8; MT 0.8 and 0.32; FT 6.4, shared by 2 and 4; E2E likewise.
      const walls = schedules.map((each: { incubation: { wall: number } }) => each.incubation.wall);
      for (const [i, wall] of [12.32, 8.8, 7.2].entries()) expect(walls[i]).toBeCloseTo(wall, 9);
      expect(schedules[1].end_to_end.wall).toBeCloseTo(3.2, 9);
      expect(schedules[1].incubation.critical_path.phases).toEqual(['PT', 'MT/0', 'FT']);
      expect(schedules[1].incubation.utilisation).toBeCloseTo(12.32 / 2 / 8.8, 9);
    }
  });

  test('a table for several, a chart for one, and unknown values', async () => {
    const table = await cli([...args, '--devices', '1,512']);
    expect(table.stdout).toMatch(/^512 .* 1\.\d+$|^512 .* 0\.\d+$/m);
    expect(table.stdout).toContain('Times are in multiply-accumulates');
    expect(table.stdout).toMatch(/at most one device per micro-batch of a step: 4 here/);
    const chart = await cli([...args, '--devices', '2', '--measure', '--set', 'phases.E2E=none']);
    expect(chart.stdout).toMatch(/^MT\/1 +\| *#+ +device [01] /m);
    expect(chart.stdout).toContain('no end-to-end baseline');
  });

  test.each([
    ['PT=10', 'no time for MT/0'],
    ['PT=10,MT=x,FT=1,E2E=1', 'not a list of step times'],
    ['PT=10,MT=1,FT=1,E2E=1,XT=3', 'has no phase XT'],
  ])('--step-ms %s is refused', async (times, message) => {
    const { code, stderr } = await cli([...args, '--devices', '2', '--step-ms', times]);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

test('doctor prints what was found', async () => {
  const { code, stdout } = await cli(['doctor', '--json']);
  expect(code).toBe(0);
  const { libtorch, gpus, driver, devices, threads, blas, mkl_avx512, decoders, problems } =
    JSON.parse(stdout);
  expect(libtorch.version).toMatch(/^2\.\d+/);
  expect(libtorch).toMatchObject({
    cuda_version: devices.length > 1 ? expect.stringMatching(/^\d+\.\d+$/) : null,
  });
  expect(typeof libtorch.nccl).toBe('boolean');
  expect(gpus.length).toBeGreaterThanOrEqual(devices.length - 1);
  expect(driver === null).toBe(gpus.length === 0);
  expect(devices[0]).toBe('cpu');
  expect(threads).toBeGreaterThan(0);
  expect(blas.openmp).toContain('OpenMP');
  expect(typeof mkl_avx512.instructions).toBe('boolean');
  expect(decoders.libvips).toMatch(/^\d+\./);
  expect(problems.filter(({ blocking }: { blocking: boolean }) => blocking)).toEqual([]);
});

test('doctor times the matrix product in a separate process', async () => {
  const built = new URL('../dist/cli/doctor/avx512.js', import.meta.url);
  const script = `import { timeByDefault } from ${JSON.stringify(built)}; console.log(await timeByDefault())`;
  const milliseconds = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect(Number(milliseconds)).toBeGreaterThan(0);
});

describe('plan refuses what run refuses, with the same messages', () => {
  const images = join(folder, 'few');
  beforeAll(() => writeImages(images, { train: 8, val: 2 }));

  test.each([
    [
      { training: { batch_size: 64 } },
      'PT: a step needs 64 images, but an epoch has only 16',
      'lower training.batch_size to at most 16',
    ],
    [
      { phases: { FT: { total_batch: 24 } } },
      'FT: a step needs 24 images',
      'lower phases.FT.total_batch to at most 16',
    ],
    [{ run: { ranks: 3 } }, 'cannot be divided evenly among 3 processes', 'set training.total_batch'],
    [{ model: { classes: 5 } }, '2 classes, but the model has 5', 'Set `model.classes: 2` in the recipe'],
    [
      { start: { meta: join(folder, 'nowhere') } },
      `${join(folder, 'nowhere')} does not exist`,
      'check the path',
    ],
  ])('%j', async (change, says, hint) => {
    const base = tinyRecipe(images) as Record<string, object>;
    const path = join(folder, 'refused.json');
    const merged = Object.fromEntries(
      Object.entries(change).map(([key, value]) => [key, { ...base[key], ...value }]),
    );
    writeFileSync(path, JSON.stringify({ ...base, ...merged }));
    const [planned, ran] = await Promise.all([
      cli(['plan', path]),
      cli(['run', path, '--out', join(folder, 'refused-run')]),
    ]);
    for (const { code, stderr } of [planned, ran]) {
      expect(stderr).toContain(says);
      expect(stderr).toContain(hint);
      expect(code).toBe(2);
    }
    expect(planned.stderr).toBe(ran.stderr);
  });

  test('also with --images, without opening any', async () => {
    const path = join(folder, 'refused.json');
    writeFileSync(path, JSON.stringify({ ...tinyRecipe('nowhere') }));
    const { code, stderr } = await cli(['plan', path, '--images', '7']);
    expect(stderr).toContain('PT: a step needs 8 images, but an epoch has only 7');
    expect(code).toBe(2);
  });
});

test('plan: with frozen parameters, its counts equal the checkpoint’s', async () => {
  const images = join(folder, 'frozen-images');
  await writeImages(images, { train: 8, val: 2 });
  const freeze = ['patch_embed.*', 'cls_token', 'pos_embed', 'blocks.*', 'norm.*'];
  const file = join(folder, 'frozen.json');
  const { phases: _, ...tiny } = tinyRecipe(images) as { phases: object; training: object };
  const settings = { ...tiny, incubation: 'none', phases: { E2E: { epochs: 1 } } };
  for (const [name, frozen] of [
    ['head', freeze],
    ['half', ['blocks.0.*', 'pos_embed']],
  ] as const) {
    writeFileSync(file, JSON.stringify({ ...settings, training: { ...tiny.training, freeze: frozen } }));
    const { stdout } = await cli(['plan', file, '--json']);
    const { trained_parameters, memory, block_passes } = JSON.parse(stdout).phases[0];
    const out = join(folder, name);
    expect(await cli(['run', file, '--out', out])).toMatchObject({ code: 0 });
    const { bytes } = optimizerState(join(out, 'E2E', 'checkpoints'));
    expect(bytes).toBe(memory.optimizer);
    expect(4 * trained_parameters * 2).toBe(memory.optimizer);
    const result = JSON.parse(readFileSync(join(out, 'E2E', 'result.json'), 'utf8'));
    expect(result).toMatchObject({ trained_parameters, block_passes });
  }
});

/** The averages in the newest checkpoint's optimiser, without its step counts. */
function optimizerState(checkpoints: string): { bytes: number } {
  const step = readFileSync(join(checkpoints, 'latest'), 'utf8').trim();
  const file = readFileSync(join(checkpoints, step, 'optimizer.safetensors'));
  const header = JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE())).toString());
  const sizes = Object.entries<{ data_offsets: number[]; shape: number[] }>(header)
    .filter(([name, { shape }]) => name !== '__metadata__' && shape.length > 0)
    .map(
      ([
        ,
        {
          data_offsets: [from, to],
        },
      ]) => to - from,
    );
  return { bytes: sizes.reduce((a, b) => a + b, 0) };
}
