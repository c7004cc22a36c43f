import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { liveHolder } from '../src/files/folder-lock.js';
import { cli, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';
import { expectSamePhase, lossesOf } from './incubated-together.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const MODULES = ['MT/0', 'MT/1', 'MT/2'];

function write(name: string): string {
  const tiny = tinyRecipe(at('images')) as Record<string, Record<string, unknown>>;
  const recipe = {
    ...tiny,
    model: { ...tiny.model, depth: 6, image_size: 16 },
    incubation: { modules: 3, together: true },
    data: { ...tiny.data, augment: { auto: null, mixup: 0.8, crop_padding: 2 } },
    training: { ...tiny.training, total_batch: 16, drop_path: 0.3, ema: 0.9, checkpoint_every: 0.05 },
    phases: { PT: { epochs: 3 }, MT: { epochs: 6 } },
  };
  writeFileSync(at(name), JSON.stringify(recipe));
  return at(name);
}

const run = (recipe: string, out: string, only: string, ...rest: string[]) =>
  cli(['run', recipe, '--out', at(out), '--only', only, '--quiet', ...rest]);

function expectClose(expected: string, found: string, phase: string): void {
  expect(lossesOf(join(at(expected), phase))).toHaveLength(24);
  expectSamePhase({ phase, expected: at(expected), found: at(found) });
}

beforeAll(async () => {
  await writeImages(at('images'), { train: 32, val: 4 });
  expect(await run(write('recipe.json'), 'apart', 'PT')).toMatchObject({ code: 0 });
  cpSync(at('apart'), at('together'), { recursive: true });
  cpSync(at('apart'), at('killed'), { recursive: true });
  cpSync(at('apart'), at('failing'), { recursive: true });
  for (const name of MODULES) expect(await run(at('recipe.json'), 'apart', name)).toMatchObject({ code: 0 });
});

test('modules that are incubated together end like separate ones', async () => {
  const ended = await run(at('recipe.json'), 'together', MODULES.join(','), '--json');
  expect(ended).toMatchObject({ code: 0 });
  for (const name of MODULES) {
    expectClose('apart', 'together', name);
    expect(JSON.parse(readFileSync(join(at('together'), name, 'status.json'), 'utf8'))).toMatchObject({
      state: 'done',
    });
  }
  const log = readFileSync(join(at('together'), 'MT/1', 'log.txt'), 'utf8');
  expect(log).toContain('together with MT/0, MT/2');
});

test('killed, with checkpoints of different steps, they resume and end with the same result', async () => {
  const recipe = at('recipe.json');
  const only = ['--only', MODULES.join(',')];
  const broken = start(['run', recipe, '--out', at('killed'), ...only]);
  await until(() => Number(lossesOf(join(at('killed'), 'MT/2')).at(-1)?.[0] ?? 0) >= 6, 'step 6');
  broken.process.kill('SIGKILL');
  await broken.ended;
  // The orphaned process ends after its step, and may save a checkpoint first.
  const isHeld = (name: string) => liveHolder(join(at('killed'), name)) !== undefined;
  await until(() => !MODULES.some(isHeld), 'the end of the orphan');
  const isDone = (name: string) => existsSync(join(at('killed'), name, 'result.json'));
  expect(MODULES.filter(isDone)).toEqual([]);
  // One module is further behind than the others.
  rmSync(join(at('killed'), 'MT/1/checkpoints'), { recursive: true });
  expect(await run(recipe, 'killed', MODULES.join(','))).toMatchObject({ code: 0 });
  for (const name of MODULES) expectClose('together', 'killed', name);
});

test('a failed module does not stop the others', async () => {
  const recipe = at('recipe.json');
  const blocked = join(at('failing'), 'MT/1');
  // The result cannot be written, because a folder has its name.
  cpSync(at('images'), join(blocked, 'metrics.jsonl'), { recursive: true });
  const { code, stderr } = await run(recipe, 'failing', MODULES.join(','));
  expect([1, 2]).toContain(code);
  expect(stderr).toContain('MT/1');
  for (const name of ['MT/0', 'MT/2']) expectClose('together', 'failing', name);
});

test('modules of different depths have different drop-path rates: refused', async () => {
  const tiny = JSON.parse(readFileSync(at('recipe.json'), 'utf8'));
  tiny.incubation = { depths: [1, 2, 3], together: true };
  writeFileSync(at('uneven.json'), JSON.stringify(tiny));
  expect(await cli(['plan', at('uneven.json')])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('drop_path'),
  });
  const constant = ['--set', 'training.drop_path_schedule=constant'];
  expect(await cli(['plan', at('uneven.json'), ...constant])).toMatchObject({ code: 0 });
});
