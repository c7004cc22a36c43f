import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { colourRecipe, writeClasses } from './class-images.js';
import { cli, type Ended, temporaryFolder } from './cli-support.js';

// Labels follow the names of classes in training, evaluation and export.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const ANIMALS = { '001.ant': 0, '002.bee': 1, '003.cat': 2 };
const NAMES = Object.keys(ANIMALS);
const RUN = at('run');
const MODEL = at('run', 'E2E');

async function result(...args: string[]) {
  const { code, stdout, stderr } = await cli([...args, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('error') });
  return { stderr, ...JSON.parse(stdout) };
}

function expectRefused({ code, stdout, stderr }: Ended, ...parts: string[]): void {
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  for (const part of parts) expect(stderr).toContain(part);
}

async function images(name: string, classes: Readonly<Record<string, number>>): Promise<string> {
  await writeClasses(at(name), classes, 4);
  return at(name);
}

beforeAll(async () => {
  await writeClasses(at('data', 'train'), ANIMALS, 8);
  // The run's own validation images lack a class.
  await writeClasses(at('data', 'val'), { '002.bee': 1, '003.cat': 2 }, 4);
  writeFileSync(at('recipe.json'), JSON.stringify(colourRecipe(at('data'), 3)));
  const { code, stderr } = await cli(['run', at('recipe.json'), '--out', RUN]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.anything() });
}, 120_000);

test('a checkpoint names its classes, which inspect shows', async () => {
  const { manifest } = await result('inspect', MODEL);
  expect(manifest.classes).toEqual(NAMES);
});

describe('eval of a part of the classes', () => {
  test.each([
    ['the last', { '001.ant': 0, '002.bee': 1 }, '003.cat'],
    ['the first', { '002.bee': 1, '003.cat': 2 }, '001.ant'],
    ['the middle', { '001.ant': 0, '003.cat': 2 }, '002.bee'],
  ])('without %s', async (name, classes, missing) => {
    const found = await result('eval', MODEL, '--data', await images(name, classes));
    expect(found).toMatchObject({ top1: 100, images: 8, classes_without_images: [missing] });
    expect(found.stderr).toContain(`without images in ${at(name)}: ${missing} (1 of the model's 3 classes)`);
    expect(found.stderr).not.toContain('assumed');
    const names = found.classes.map((each: { name: string }) => each.name);
    expect(names).toEqual(Object.keys(classes));
  });
});

test('names that the model does not know are listed and refused', async () => {
  const other = await images('other', { '001.ant': 0, dog: 1, '003.Cat': 2 });
  expectRefused(
    await cli(['eval', MODEL, '--data', other]),
    'error: 003.Cat, dog: unknown class names',
    'are: 001.ant, 002.bee, 003.cat.',
    'Class names are case-sensitive',
  );
});

describe('names survive', () => {
  const FORMATS = [
    ['timm', 'timm/model.safetensors'],
    ['huggingface', 'hf'],
    ['official', 'official.pth'],
    ['deep-incubation', 'ours.safetensors'],
  ] as const;

  beforeAll(async () => {
    await images('part', { '002.bee': 1, '003.cat': 2 });
    let from = MODEL;
    for (const [format, name] of FORMATS) {
      expect(await result('convert', from, at(name), '--to', format, '--set', 'model.heads=2')).toMatchObject(
        {
          class_names: true,
        },
      );
      from = at(name);
    }
  }, 60_000);

  test.each(FORMATS)('from format to format, and are used: %s', async (_, name) => {
    const settings = ['--set', 'model.heads=2'];
    const found = await result('eval', at(name), '--data', at('part'), ...settings);
    expect(found).toMatchObject({ top1: 100, images: 8, classes_without_images: ['001.ant'] });
    expect(found.stderr).not.toContain('assumed: labels');
    const inspected = await result('inspect', at(name));
    expect(inspected.class_names).toEqual(NAMES);
    expectRefused(
      await cli([
        'eval',
        at(name),
        '--data',
        await images('unknown', { dog: 0, emu: 1, fox: 2 }),
        ...settings,
      ]),
      'error: dog, emu, fox: unknown class names',
    );
  });

  test("where other programs look for them: timm's and Hugging Face's config.json, ONNX", async () => {
    const json = (name: string) => JSON.parse(readFileSync(at(name), 'utf8'));
    expect(json('timm/config.json')).toMatchObject({
      label_names: NAMES,
      num_classes: 3,
      architecture: 'vit_base_patch16_224',
      model_args: { img_size: 16, patch_size: 8, embed_dim: 16, depth: 2, num_heads: 2 },
      pretrained_cfg: { mean: [0.485, 0.456, 0.406] },
    });
    const labels = Object.fromEntries(NAMES.map((name, i) => [String(i), name]));
    const ids = Object.fromEntries(NAMES.map((name, i) => [name, i]));
    expect(json('hf/config.json')).toMatchObject({ id2label: labels, label2id: ids });
    const exported = await result('export', MODEL, at('named.onnx'));
    expect(exported).toMatchObject({ class_names: true });
    expect(exported.stderr).toMatch(/^checkpoint: \S+ \(latest, step 36, /m);
    const best = await result('convert', join(MODEL, 'best'), at('best.safetensors'), '--to', 'timm');
    expect(best.stderr).toMatch(/^checkpoint: \S+ \(best, step 36\)/m);
    expect(readFileSync(at('named.onnx')).includes(JSON.stringify(NAMES))).toBe(true);
    const shown = await cli(['inspect', MODEL]);
    expect(shown.stdout).toMatch(/class names +0 = 001\.ant, 1 = 002\.bee, 2 = 003\.cat \(/);
  });

  test('the config.json of one file is not used for another file in the same folder', async () => {
    const beside = at('timm', 'other.safetensors');
    const { stderr } = await cli([
      'convert',
      MODEL,
      beside,
      '--to',
      'timm',
      '--classes',
      await list('x', 'y', 'z'),
    ]);
    expect(stderr).toContain("config.json exists: timm's config was not written");
    expect((await result('inspect', beside)).class_names).toEqual(['x', 'y', 'z']);
    expect((await result('inspect', at('timm', 'model.safetensors'))).class_names).toEqual(NAMES);
  });

  test('id2label and label_names of other programs are the labels of folders', async () => {
    const data = await images('renamed', { zebra: 0, bee: 1, ant: 2 });
    cpSync(at('hf'), at('hf-renamed'), { recursive: true });
    edit(at('hf-renamed', 'config.json'), { id2label: { 0: 'zebra', 1: 'bee', 2: 'ant' } });
    expect(await result('eval', at('hf-renamed'), '--data', data)).toMatchObject({ top1: 100 });
    const contradicted = await result('eval', at('hf-renamed'), '--data', data);
    expect(contradicted.stderr).toContain('label 0 is zebra by id2label, 001.ant by label2id');
    edit(at('hf-renamed', 'config.json'), { label2id: { LABEL_0: 0, LABEL_1: 1, LABEL_2: 2 } });
    expect((await result('eval', at('hf-renamed'), '--data', data)).stderr).not.toContain('label2id');
    // Like a file of timm: no list in the header.
    const plain = at('timm-renamed', 'model.safetensors');
    cpSync(at('hf'), at('hf-plain'), { recursive: true });
    edit(at('hf-plain', 'config.json'), { id2label: undefined, label2id: undefined });
    await result('convert', at('hf-plain'), plain, '--to', 'timm');
    for (const config of [
      { label_names: ['zebra', 'bee', 'ant'] },
      { pretrained_cfg: { label_names: { 0: 'zebra', 1: 'bee', 2: 'ant' } } },
    ]) {
      writeFileSync(at('timm-renamed', 'config.json'), JSON.stringify({ num_classes: 3, ...config }));
      const found = await result('eval', plain, '--data', data, '--set', 'model.heads=2');
      expect(found).toMatchObject({ top1: 100, class_names_from: at('timm-renamed', 'config.json') });
    }
  });
});

describe('a checkpoint of an earlier version', () => {
  const part = ['--data', at('the first')];

  test('has the names that its run recorded', async () => {
    const step = readFileSync(at('run', 'E2E', 'checkpoints', 'latest'), 'utf8').trim();
    cpSync(RUN, at('old'), { recursive: true });
    edit(at('old', 'E2E', 'checkpoints', step, 'manifest.json'), { classes: undefined });
    const found = await result('eval', at('old', 'E2E'), ...part);
    expect(found).toMatchObject({ top1: 100, class_names_from: at('old', 'E2E', 'confusion.json') });
    rmSync(at('old', 'E2E', 'confusion.json'));
    const again = await result('eval', at('old', 'E2E'), ...part);
    expect(again).toMatchObject({ top1: 100, class_names_from: at('old', 'data.json') });
    cpSync(at('old', 'E2E', 'checkpoints', step), at('checkpoint'), { recursive: true });
  });

  test('outside of its run has none: assumptions are printed, and unknown labels refused', async () => {
    const all = await result('eval', at('checkpoint'), '--data', at('data', 'train'));
    expect(all).toMatchObject({ top1: 100, class_names_from: null });
    expect(all.stderr).toContain(': 0 = 001.ant, 1 = 002.bee, 2 = 003.cat (the checkpoint does not name its');
    expectRefused(
      await cli(['eval', at('checkpoint'), ...part]),
      'has 2 classes, but the model has 3',
      '--classes',
    );
    // 002 and 003 are not labels, because they count from 1.
    expectRefused(
      await cli(['eval', at('checkpoint'), ...part, '--classes', 'number']),
      '003.cat does not begin',
    );
  });

  test.each([
    ['a list', () => list(...NAMES)],
    ['a JSON list', () => list(JSON.stringify(NAMES))],
    ["torchvision's class_to_idx", () => list(JSON.stringify({ '003.cat': 2, '001.ant': 0, '002.bee': 1 }))],
    ['a run', async () => RUN],
    ['a phase', async () => MODEL],
    ['a data set', async () => at('data')],
    ["a model's folder", async () => at('hf')],
  ])('gets names from %s', async (_, classes) => {
    const found = await result('eval', at('checkpoint'), ...part, '--classes', await classes());
    expect(found).toMatchObject({ top1: 100, images: 8, classes_without_images: ['001.ant'] });
    expect(found.stderr).not.toContain('assumed: labels');
  });

  test('gets no names from JSON without a list of names', async () => {
    for (const value of [{ 0: ['n01', '001.ant'] }, { classes: 3 }, ['001.ant', 2, 3]])
      expectRefused(
        await cli(['eval', at('checkpoint'), ...part, '--classes', await list(JSON.stringify(value))]),
        'is not a list of names',
      );
  });

  test('gets labels from folders that are named by label', async () => {
    const data = await images('numbers', { '1': 1, '2_cat': 2 });
    const found = await result('eval', at('checkpoint'), '--data', data, '--classes', 'number');
    expect(found).toMatchObject({ top1: 100, images: 8 });
  });

  test('and folders in the other Unicode normalisation', async () => {
    const names = await list('f', 'caf\u00e9', 'o\u0308');
    const data = await images('unicode', { 'cafe\u0301': 1, '\u00f6': 2 });
    expect(await result('eval', at('checkpoint'), '--data', data, '--classes', names)).toMatchObject({
      top1: 100,
    });
  });
});

test('--classes renames the classes of a run without permuting them', async () => {
  const data = await images('words', { ant: 0, cat: 2 });
  const found = await result('eval', MODEL, '--data', data, '--classes', await list('ant', 'bee', 'cat'));
  expect(found).toMatchObject({ top1: 100 });
  expectRefused(
    await cli(['eval', MODEL, '--data', data, '--classes', await list(...[...NAMES].reverse())]),
    'in another order: label 0 is 003.cat, there 001.ant',
  );
  const part = await result('export', MODEL, at('part.onnx'), '--classes', at('the first'));
  expect(part.class_names).toBe(true);
  expect(readFileSync(at('part.onnx')).includes(JSON.stringify(NAMES))).toBe(true);
});

test('the confusion matrix of a run has the names of all classes', () => {
  const { names, counts } = JSON.parse(readFileSync(at('run', 'E2E', 'confusion.json'), 'utf8'));
  expect(names).toEqual(NAMES);
  expect(counts).toEqual([
    [1, 1, 4],
    [2, 2, 4],
  ]);
});

/** A text file of names. */
async function list(...names: readonly string[]): Promise<string> {
  const path = at(`list-${names.join('-').length}-${names[0].slice(0, 3).replaceAll(/\W/g, '_')}.txt`);
  writeFileSync(path, `${names.join('\n')}\n`);
  return path;
}

/** Changes keys of a JSON file; undefined removes one. */
function edit(path: string, change: object): void {
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...change }));
}
