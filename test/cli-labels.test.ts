import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { colourRecipe, writeClasses } from './class-images.js';
import { cli, type Ended, temporaryFolder } from './cli-support.js';

// Labels go by the names of classes: what is trained, evaluated and exported.

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

test('names the model does not know are listed and refused', async () => {
  const other = await images('other', { '001.ant': 0, dog: 1, '003.Cat': 2 });
  expectRefused(
    await cli(['eval', MODEL, '--data', other]),
    'error: 003.Cat, dog: no class has one of these names',
    'are 001.ant, 002.bee, 003.cat.',
    'Upper and lower case are different names',
  );
});
