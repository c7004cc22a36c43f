import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from './cli-support.js';
import { tarOf } from './fixtures/data-fixture.js';
import { goldenPath } from './support.js';

const folder = temporaryFolder();
const data = join(folder, 'data');
const images = readdirSync(goldenPath('png'));

/** Images of the golden run into `<part>/<label>/`. */
function write(part: string, names: readonly string[] = images): void {
  for (const name of names) {
    const label = /_y(\d)/.exec(name)?.[1] ?? '';
    const target = join(data, part, label);
    mkdirSync(target, { recursive: true });
    cpSync(goldenPath(`png/${name}`), join(target, name));
  }
}

const evaluate = (...args: string[]) =>
  cli(['eval', goldenPath('ckpt/FT.pth'), '--set', 'model.heads=4', '--json', '--data', ...args]);

/** The folders of classes are named by their labels. */
const BY_NUMBER = ['--classes', 'number'];

beforeEach(() => rmSync(data, { recursive: true, force: true }));

describe('eval', () => {
  test('train and valid: evaluated on valid, not with these as two classes', async () => {
    write('train', images.slice(0, 4));
    write('valid');
    const expected = JSON.parse((await evaluate(goldenPath('png'))).stdout);
    const { code, stdout } = await evaluate(data, ...BY_NUMBER);
    expect(code).toBe(0);
    const { images: count, top1, loss } = JSON.parse(stdout);
    expect([count, top1, loss]).toEqual([16, expected.top1, expected.loss]);
  });

  test.each([
    ['only train', ['train'], 'it has train\n'],
    ['train and test', ['train', 'TEST'], 'it has train and test; test is read only if requested\n'],
  ])('%s: exit 2 and the found splits', async (_, parts, found) => {
    for (const part of parts) write(part);
    const { code, stdout, stderr } = await evaluate(data, ...BY_NUMBER);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`${data} has no folder named val, valid or validation: ${found}`);
    expect(stderr).toMatch(/hint: .*--split train or --split test/);
  });

  test('--split chooses; all means that every folder is a class', async () => {
    write('train', images.slice(0, 4));
    write('val', images.slice(4, 9));
    write('test', images.slice(9));
    const counts = await Promise.all(
      [[], ['--split', 'train'], ['--split', 'val'], ['--split', 'test']].map(
        async (args) => JSON.parse((await evaluate(data, ...BY_NUMBER, ...args)).stdout).images,
      ),
    );
    expect(counts).toEqual([5, 4, 5, 7]);
    const all = await evaluate(data, '--split', 'all');
    expect([all.code, all.stderr]).toEqual([2, expect.stringMatching(/has 3 classes, but the model has 10/)]);
    const wrong = await evaluate(data, '--split', 'dev');
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringMatching(/train, val, test, all/)]);
  });
});

describe('shards', () => {
  /** A shard of golden images, as `<part>-0.tar`. */
  function writeShard(part: string, names: readonly string[]): void {
    const files = names.flatMap((name, i): [string, Buffer | string][] => [
      [`${i}.png`, readFileSync(goldenPath(`png/${name}`))],
      [`${i}.cls`, /_y(\d)/.exec(name)?.[1] ?? ''],
    ]);
    mkdirSync(data, { recursive: true });
    writeFileSync(join(data, `${part}-0.tar`), tarOf(...files));
  }

  test('with only train and TEST: refused until the part is named', async () => {
    writeShard('train', images.slice(0, 4));
    writeShard('TEST', images);
    const { code, stderr } = await evaluate(data);
    expect([code, stderr]).toEqual([2, expect.stringContaining('it has train and test\n')]);
    const expected = JSON.parse((await evaluate(goldenPath('png'))).stdout);
    const found = JSON.parse((await evaluate(data, '--split', 'test')).stdout);
    expect([found.images, found.top1, found.loss]).toEqual([16, expected.top1, expected.loss]);
    expect(JSON.parse((await evaluate(data, '--split', 'train')).stdout).images).toBe(4);
  });
});

test('data check and run refuse the same, and name the files that are not read', async () => {
  write('train');
  write('test');
  cpSync(goldenPath('png'), join(data, 'spare'), { recursive: true });
  const check = await cli(['data', 'check', data]);
  expect(check.code).toBe(1);
  expect(check.stdout).toContain('problem: missing splits: 1\n');
  expect(check.stdout).toContain('not read: 1 folders that are not splits');
  const recipe = join(folder, 'recipe.json');
  const model = { image_size: 28, patch_size: 7, classes: 2, width: 16, depth: 4, heads: 1 };
  writeFileSync(
    recipe,
    JSON.stringify({ name: 'x', model, incubation: { modules: 2 }, data: { format: 'folder', path: data } }),
  );
  const run = await cli(['run', recipe, '--out', join(folder, 'run')]);
  expect([run.code, run.stderr]).toEqual([2, expect.stringMatching(/has no folder named val/)]);
  const plan = await cli(['plan', recipe]);
  expect([plan.code, plan.stderr]).toEqual([2, run.stderr]);
  const asked = await cli([
    'plan',
    recipe,
    '--set',
    'data.eval_split=test',
    '--set',
    'training.batch_size=4',
  ]);
  expect([asked.code, asked.stderr]).toEqual([0, '']);
});
