import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { colourRecipe, writeClasses } from './class-images.js';
import { cli, jsonLines, temporaryFolder } from './cli-support.js';
import { startFakeHub } from './fake-hub.js';

// Weights that a run starts from keep the labels of their classes.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);

/** Classes whose sorted order is not that of the weights. */
const COLOURS = { 'z-ant': 0, 'm-bee': 1, 'a-cat': 2 };
const NAMES = Object.keys(COLOURS);

async function run(name: string, start: object, data = at('data'), ...args: string[]) {
  return runWith(name, 3, start, data, ...args);
}

async function runWith(name: string, classes: number, start: object, data: string, ...args: string[]) {
  const recipe = {
    ...colourRecipe(data, classes),
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

test('the labels of start.model follow its names', async () => {
  expect(await run('named', { model: at('vit') })).toMatchObject({ code: 0 });
  expect(firstTop1('named')).toBe(100);
  expect(manifestOf('named').classes).toEqual(NAMES);
  expect(JSON.parse(readFileSync(at('named', 'FT', 'confusion.json'), 'utf8')).names).toEqual(NAMES);
  expect(readFileSync(at('named', 'FT', 'log.txt'), 'utf8')).toContain('0 = z-ant, 1 = m-bee, 2 = a-cat');
  const { stdout } = await cli(['eval', at('named', 'FT'), '--data', at('data'), '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ top1: 100 });
});

test('more epochs keep these labels', async () => {
  const longer = await cli(['run', at('named'), '--set', 'phases.FT.epochs=2']);
  expect(longer).toMatchObject({ code: 0 });
  expect(manifestOf('named')).toMatchObject({ classes: NAMES, last: { top1: 100 } });
});

describe('images of some of start.model’s classes', () => {
  beforeAll(async () => {
    for (const part of ['train', 'val'])
      await writeClasses(at('two', part), { 'm-bee': 1, 'z-ant': 0 }, part === 'train' ? 8 : 4);
  });

  test('have their labels, and the head keeps its classes', async () => {
    const { code, stderr } = await run('subset', { model: at('vit') }, at('two'));
    expect(code).toBe(0);
    expect(stderr).toContain(`start.model ${at('vit')}: the images are of 2 of its 3 classes; none of a-cat`);
    expect(firstTop1('subset')).toBe(100);
    expect(manifestOf('subset')).toMatchObject({ classes: NAMES, model: { classes: 3 } });
    expect(JSON.parse(readFileSync(at('subset', 'recipe.json'), 'utf8')).data.classes).toEqual(NAMES);
    // All three classes again: the third has kept its label.
    const { stdout } = await cli(['eval', at('subset', 'FT'), '--data', at('data'), '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ top1: 100, images: 12 });
  });

  test('also for weights of a run, which resumes with the same recipe', async () => {
    const start = { model: at('subset', 'FT') };
    expect(await run('again', start, at('two'))).toMatchObject({ code: 0 });
    expect(firstTop1('again')).toBe(100);
    const longer = await run('again', start, at('two'), '--set', 'phases.FT.epochs=2');
    expect(longer).toMatchObject({ code: 0 });
    expect(manifestOf('again')).toMatchObject({ classes: NAMES, last: { top1: 100 } });
  });

  test('can be planned', async () => {
    const { code, stdout } = await cli(['plan', at('subset.json'), '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).train_images).toBe(16);
  });

  test('can be planned when start.model is on the hub: before its download and after it', async () => {
    const files = ['config.json', 'model.safetensors'];
    const hub = await startFakeHub(
      Object.fromEntries(files.map((name) => [name, readFileSync(at('vit', name))])),
    );
    const env = { HF_ENDPOINT: hub.address, DEEP_INCUBATION_CACHE: at('hub-cache') };
    const hubName = 'hf:someone/vits';
    const recipe = JSON.parse(readFileSync(at('subset.json'), 'utf8'));
    writeFileSync(at('of-hub.json'), JSON.stringify({ ...recipe, start: { model: hubName } }));
    const planned = (...args: string[]) => cli(['plan', at('of-hub.json'), '--json', ...args], { env });
    try {
      const before = await planned();
      expect(before).toMatchObject({ code: 0 });
      expect(before.stderr).toContain(
        `not checked: ${hubName} (not downloaded yet; run downloads and checks it)`,
      );
      expect(JSON.parse(before.stdout).train_images).toBe(16);
      expect(hub.requests).toEqual([]);
      // Fewer classes than those of the images are always an error.
      const tooFew = await planned('--set', 'model.classes=1');
      expect(tooFew.code).toBe(2);
      expect(tooFew.stderr).toContain('model.classes');
      expect(await cli(['inspect', hubName], { env })).toMatchObject({ code: 0 });
      const after = await planned();
      expect(after).toMatchObject({ code: 0, stdout: before.stdout });
      expect(after.stderr).toContain(`start.model ${hubName}: the images are of 2 of its 3 classes`);
    } finally {
      hub.close();
    }
  });

  test('are learned from scratch with the same labels if the recipe lists the classes', async () => {
    const { start: _, phases: __, ...scratch } = JSON.parse(readFileSync(at('subset.json'), 'utf8'));
    const recipe = { ...scratch, incubation: 'none', phases: { E2E: { epochs: 1 } } };
    writeFileSync(
      at('listed.json'),
      JSON.stringify({ ...recipe, data: { ...recipe.data, classes: ['m-bee', 'a-cat', 'z-ant'] } }),
    );
    expect(await cli(['run', at('listed.json'), '--out', at('listed')])).toMatchObject({ code: 0 });
    const { per_class } = JSON.parse(readFileSync(at('listed', 'data.json'), 'utf8')).train;
    expect(per_class).toEqual([8, 0, 8]);
    const { code, stderr } = await cli(['run', at('listed.json'), '--set', 'model.classes=2']);
    expect(code).toBe(2);
    expect(stderr).toContain('data.classes lists 3 names, model.classes is 2');
  });

  test('with the images’ model.classes are refused, and the hint says what to set', async () => {
    const { code, stderr } = await runWith('too-few', 2, { model: at('vit') }, at('two'));
    expect(code).toBe(2);
    expect(stderr).toContain("classes 3, but the recipe's model has 2");
    expect(stderr).toContain('set model.classes to 3 to keep the head');
    expect(stderr).toContain('set start.head to new');
    const kept = ['--set', 'model.classes=3'];
    expect(await runWith('kept', 2, { model: at('vit') }, at('two'), ...kept)).toMatchObject({ code: 0 });
    const fresh = ['--set', 'start.head=new'];
    expect(await runWith('fresh', 2, { model: at('vit') }, at('two'), ...fresh)).toMatchObject({ code: 0 });
    expect(manifestOf('fresh')).toMatchObject({ classes: ['m-bee', 'z-ant'], model: { classes: 2 } });
  });
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
    expect(stderr).toContain('A-cat, dog: unknown class names');
    expect(stderr).toContain('set start.head to new and model.classes to 3');
    expect(stderr).toContain('A-cat and a-cat');
  });

  test('are refused also if they are fewer', async () => {
    for (const part of ['train', 'val'])
      await writeClasses(at('fewer', part), { 'z-ant': 0, dog: 1 }, part === 'train' ? 8 : 4);
    const { code, stderr } = await run('fewer-run', { model: at('vit') }, at('fewer'));
    expect(code).toBe(2);
    expect(stderr).toContain('dog: unknown class name');
    expect(stderr).toContain('set start.head to new and model.classes to 2');
    const fresh = ['--set', 'start.head=new', '--set', 'model.classes=2'];
    expect(await run('fewer-run', { model: at('vit') }, at('fewer'), ...fresh)).toMatchObject({ code: 0 });
  });

  test('are the labels of a new head', async () => {
    expect(await run('new', { model: at('vit'), head: 'new' }, at('other'))).toMatchObject({ code: 0 });
    expect(manifestOf('new').classes).toEqual(['A-cat', 'dog', 'z-ant']);
  });
});

describe('weights without names', () => {
  beforeAll(() => {
    cpSync(at('vit'), at('nameless'), { recursive: true });
    const config = JSON.parse(readFileSync(at('vit', 'config.json'), 'utf8'));
    const plain = { ...config, id2label: undefined, label2id: undefined };
    writeFileSync(at('nameless', 'config.json'), JSON.stringify(plain));
  });

  test('and images of fewer classes: refused until the recipe lists the names', async () => {
    const { code, stderr } = await run('unlisted', { model: at('nameless') }, at('two'));
    expect(code).toBe(2);
    expect(stderr).toContain('has 3 classes and does not name them; the images have 2: m-bee, z-ant');
    expect(stderr).toContain('list all 3 names in data.classes');
    const listed = ['--set', `data.classes=${JSON.stringify(NAMES)}`];
    expect(await run('unlisted', { model: at('nameless') }, at('two'), ...listed)).toMatchObject({ code: 0 });
    expect(firstTop1('unlisted')).toBe(100);
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
    /assumed: labels follow the order of the classes: 0 = a-cat, 1 = m-bee, 2 = z-ant \(\S+plain does not name/,
  );
});
