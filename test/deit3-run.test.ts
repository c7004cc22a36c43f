import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const recipe = at('recipe.json');

// DeiT-III's settings in every phase, with grown modules.
beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  const tiny = tinyRecipe(at('images')) as Record<'model' | 'data' | 'training', object>;
  writeFileSync(
    recipe,
    JSON.stringify({
      ...tiny,
      model: { ...tiny.model, layer_scale: 1e-4, no_embed_class: true },
      incubation: { modules: 2, init: 'grown' },
      data: {
        ...tiny.data,
        augment: { three_augment: true, color_jitter: 0.3, crop: 'simple', mixup: 0.8, cutmix: 1 },
      },
      training: {
        ...tiny.training,
        loss: 'bce',
        bce_threshold: 0,
        label_smoothing: 0,
        clip_grad: 1,
        drop_path: 0.2,
        drop_path_schedule: 'constant',
        checkpoint_every: 0.05,
        optimizer: { name: 'lamb', lr: 0.003, lr_batch: null },
      },
      phases: { PT: { epochs: 6 }, E2E: { epochs: 2 } },
    }),
  );
});

async function succeed(...args: string[]) {
  const ended = await cli(args);
  expect(ended.code, ended.stderr).toBe(0);
  return ended;
}

function weightsOf(run: string, phase: string): string {
  const checkpoints = join(run, phase, 'checkpoints');
  const latest = readFileSync(join(checkpoints, 'latest'), 'utf8').trim();
  const manifest = JSON.parse(readFileSync(join(checkpoints, latest, 'manifest.json'), 'utf8'));
  return manifest.files['model.safetensors'].sha256;
}

const lossesOf = (run: string, phase: string) =>
  jsonLines(join(run, phase, 'metrics.jsonl'))
    .filter(({ kind }) => kind === 'step')
    .map(({ loss }) => loss as number);

test('every phase trains, a killed one ends with the same result, and a module returns from another machine', async () => {
  const [whole, broken, there] = ['whole', 'broken', 'there'].map(at);
  await succeed('run', recipe, '--out', whole, '--quiet');
  for (const phase of ['PT', 'MT/0', 'MT/1', 'FT', 'E2E']) {
    const losses = lossesOf(whole, phase);
    expect(losses.length).toBeGreaterThan(3);
    expect(losses.every((loss) => loss > 0 && loss < 3)).toBe(true);
  }

  const killed = start(['run', recipe, '--out', broken, '--only', 'PT']);
  const metrics = join(broken, 'PT/metrics.jsonl');
  await until(() => existsSync(metrics) && Number(jsonLines(metrics).at(-1)?.step ?? 0) >= 8, 'step 8');
  killed.process.kill('SIGKILL');
  await killed.ended;
  await succeed('run', recipe, '--out', broken, '--only', 'PT,MT/0', '--quiet');
  expect(weightsOf(broken, 'PT')).toBe(weightsOf(whole, 'PT'));
  expect(lossesOf(broken, 'MT/0')).toEqual(lossesOf(whole, 'MT/0'));

  const [work, module] = ['work.tar', 'module.tar'].map(at);
  await succeed('pack', broken, work, '--for', 'MT/1');
  await succeed('unpack', work, '--into', there);
  const here = [`data.path=${at('images')}`, 'run.device=cpu', 'run.threads=1'];
  await succeed('run', there, '--only', 'MT/1', '--quiet', ...here.flatMap((value) => ['--set', value]));
  await succeed('pack', join(there, 'MT/1'), module);
  await succeed('unpack', module, '--into', broken);
  await succeed('run', recipe, '--out', broken, '--only', 'FT', '--quiet');
  expect(weightsOf(broken, 'MT/1')).toBe(weightsOf(whole, 'MT/1'));
  expect(weightsOf(broken, 'FT')).toBe(weightsOf(whole, 'FT'));
}, 240_000);
