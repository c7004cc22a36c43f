import { join } from 'node:path';
import * as di from 'deep-incubation';
import { beforeAll, expect, test, vi } from 'vitest';
import type { mixer as family } from '../examples/mixer.js';
import { temporaryFolder } from './cli-support.js';
import { CLASSES, SIDE, shownIn, sourceOf, writeStripes } from './examples-support.js';

// examples/mixer.ts: a user's own family, trained through a recipe in a run folder.

const folder = temporaryFolder();
const [images, runDir] = [join(folder, 'images'), join(folder, 'run')];
let mixer: typeof family;

beforeAll(async () => {
  await writeStripes(images);
  vi.spyOn(console, 'log').mockImplementation(() => {});
  process.argv = [...process.argv.slice(0, 2), runDir, images, '4'];
  ({ mixer } = await import('../examples/mixer.js'));
});

const lossesOf = (run: string, phase: string) =>
  di
    .readMetrics(join(run, phase, 'metrics.jsonl'))
    .flatMap((record) => ('lr' in record ? [record.loss] : []));

test('the example trains every phase, and its losses fall', () => {
  const { phases } = di.readRunStatus(runDir);
  expect(phases.map(({ phase, state }) => `${phase} ${state}`)).toEqual([
    ...['PT done', 'MT/0 done', 'MT/1 done', 'MT/2 done', 'MT/3 done', 'FT done'],
  ]);
  for (const phase of ['PT', 'FT']) {
    const losses = lossesOf(runDir, phase);
    expect(losses.at(-1)).toBeLessThan(losses[0]);
  }
});

test('its parameters and multiply-accumulates are those of the layers', () => {
  const geometry = { imageSize: SIDE, channels: 3, classes: CLASSES, patch: 7, width: 64, depth: 8 };
  const { cost } = mixer.blueprint(geometry);
  const [N, D, P] = [16, 64, 147];
  expect(cost.stem).toMatchObject({ macs: N * P * D, parameters: P * D + D });
  expect(cost.head).toMatchObject({ macs: D * CLASSES, parameters: 2 * D + D * CLASSES + CLASSES });
  const tokens = { macs: D * (N * 32 + 32 * N), parameters: N * 32 + 32 + 32 * N + N };
  const channels = { macs: N * (2 * D * 2 * D), parameters: 4 * D * D + 2 * D + D };
  expect(cost.block({ from: 0, to: 1 })).toMatchObject({
    macs: tokens.macs + channels.macs,
    parameters: tokens.parameters + channels.parameters + 4 * D,
  });
});

test('grown, every hybrid starts at the accuracy and loss of the meta model', async () => {
  const grown = join(folder, 'grown');
  const recipe = di.defineRecipe(
    {
      name: 'grown',
      model: { family: 'mixer', image_size: SIDE, channels: 3, classes: CLASSES },
      incubation: { modules: 4, init: 'grown' },
      data: { format: 'folder', path: images },
      training: { epochs: 1, batch_size: 32, schedule: { kind: 'step-cosine', warmup: 0 } },
    },
    { families: [mixer] },
  );
  await di.runRecipe({ recipe, runDir: grown, device: 'cpu' });
  const evaluations = (phase: string) =>
    di.readMetrics(join(grown, phase, 'metrics.jsonl')).flatMap((record) => ('lr' in record ? [] : [record]));
  const meta = evaluations('PT').at(-1);
  for (const i of [0, 1, 2, 3]) {
    expect(evaluations(`MT/${i}`)[0]).toMatchObject({ step: 0, loss: meta?.loss, top1: meta?.top1 });
  }
});

test('docs/own-model.md shows the example unchanged', () => {
  expect(shownIn('', 'The layers', 'A family for recipes')).toBe(sourceOf('mixer.ts'));
});
