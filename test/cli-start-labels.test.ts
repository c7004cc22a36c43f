import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { colourRecipe, writeClasses } from './class-images.js';
import { cli, jsonLines, temporaryFolder } from './cli-support.js';

// Weights that a run starts from keep the labels of their classes.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

/** Classes whose sorted order is not that of the weights. */
const COLOURS = { 'z-ant': 0, 'm-bee': 1, 'a-cat': 2 };
const NAMES = Object.keys(COLOURS);

async function run(name: string, start: object, data = at('data'), ...args: string[]) {
  const recipe = {
    ...colourRecipe(data, 3),
    incubation: { modules: 2 },
    start,
    phases: { FT: { epochs: 1, optimizer: { lr: 1e-9 } }, E2E: 'none' },
  };
  writeFileSync(at(`${name}.json`), JSON.stringify(recipe));
  return cli(['run', at(`${name}.json`), '--out', at(name), ...args]);
}

function manifestOf(name: string) {
  const checkpoints = at(name, 'FT', 'checkpoints');
  const step = readFileSync(join(checkpoints, 'latest'), 'utf8').trim();
  return JSON.parse(readFileSync(join(checkpoints, step, 'manifest.json'), 'utf8'));
}

/** Of the assembled model, before its first step. */
function firstTop1(name: string): unknown {
  return jsonLines(at(name, 'FT', 'metrics.jsonl')).find(({ kind }) => kind === 'eval')?.top1;
}

beforeAll(async () => {
  await writeClasses(at('trained', 'train'), { '0': 0, '1': 1, '2': 2 }, 8);
  await writeClasses(at('trained', 'val'), { '0': 0, '1': 1, '2': 2 }, 4);
  for (const part of ['train', 'val'])
    await writeClasses(at('data', part), COLOURS, part === 'train' ? 8 : 4);
  writeFileSync(at('base.json'), JSON.stringify(colourRecipe(at('trained'), 3)));
  expect(await cli(['run', at('base.json'), '--out', at('base')])).toMatchObject({ code: 0 });
  writeFileSync(at('names.txt'), NAMES.join('\n'));
  const args = ['--to', 'huggingface', '--classes', at('names.txt')];
  expect(await cli(['convert', at('base', 'E2E'), at('vit'), ...args])).toMatchObject({ code: 0 });
}, 120_000);

test('the labels of start.model are those of its names', async () => {
  expect(await run('named', { model: at('vit') })).toMatchObject({ code: 0 });
  expect(firstTop1('named')).toBe(100);
  expect(manifestOf('named').classes).toEqual(NAMES);
  expect(JSON.parse(readFileSync(at('named', 'FT', 'confusion.json'), 'utf8')).names).toEqual(NAMES);
  expect(readFileSync(at('named', 'FT', 'log.txt'), 'utf8')).toContain('0 = z-ant, 1 = m-bee, 2 = a-cat');
  const { stdout } = await cli(['eval', at('named', 'FT'), '--data', at('data'), '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ top1: 100 });
});

test('more epochs go on with these labels', async () => {
  const longer = await cli(['run', at('named'), '--set', 'phases.FT.epochs=2']);
  expect(longer).toMatchObject({ code: 0 });
  expect(manifestOf('named')).toMatchObject({ classes: NAMES, last: { top1: 100 } });
});

describe('classes that start.model does not know', () => {
  beforeAll(async () => {
    for (const part of ['train', 'val']) {
      await writeClasses(at('other', part), { 'z-ant': 0, dog: 1, 'A-cat': 2 }, part === 'train' ? 8 : 4);
    }
  });

  test('are listed and refused', async () => {
    const { code, stderr } = await run('refused', { model: at('vit') }, at('other'));
    expect(code).toBe(2);
    expect(stderr).toContain('A-cat, dog: no class has one of these names');
    expect(stderr).toContain('set start.head to new');
    expect(stderr).toContain('A-cat and a-cat');
  });

  test('are the labels of a new head', async () => {
    expect(await run('new', { model: at('vit'), head: 'new' }, at('other'))).toMatchObject({ code: 0 });
    expect(manifestOf('new').classes).toEqual(['A-cat', 'dog', 'z-ant']);
  });
});

test('weights without names: the order of the classes is assumed, and logged', async () => {
  cpSync(at('vit'), at('plain'), { recursive: true });
  const config = JSON.parse(readFileSync(at('vit', 'config.json'), 'utf8'));
  writeFileSync(
    at('plain', 'config.json'),
    JSON.stringify({ ...config, id2label: undefined, label2id: undefined }),
  );
  const { code, stderr } = await run('plain-run', { model: at('plain') });
  expect(code).toBe(0);
  expect(stderr).toContain(`assumed: the labels of the images are those of start.model ${at('plain')}`);
  expect(readFileSync(at('plain-run', 'FT', 'log.txt'), 'utf8')).toMatch(
    /assumed: labels in the order of the classes: 0 = a-cat, 1 = m-bee, 2 = z-ant \(\S+plain does not name/,
  );
});
