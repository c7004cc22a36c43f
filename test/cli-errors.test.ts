import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, type Ended, start, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';
import { storedZip } from './fixtures/stored-zip.js';
import { goldenPath } from './support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const recipe = at('recipe.json');
const FT = goldenPath('ckpt/FT.pth');

beforeAll(async () => {
  await writeImages(at('images'), { train: 8, val: 2 });
  writeFileSync(recipe, JSON.stringify(tinyRecipe(at('images'))));
});

/** The command fails because of invalid input, and prints one or two sentences. */
function expectInputError({ code, stdout, stderr }: Ended, message: string | RegExp): void {
  expect(stderr).toMatch(message);
  expect(stderr).toMatch(/^(assumed: .+\n)*error: .+\n( {2}hint: .+\n)?$/);
  expect(stdout).toBe('');
  expect(code).toBe(2);
}

describe('recipes', () => {
  test.each([
    ['an unknown key', ['--set', 'model.widht=3'], 'recipe.json: unknown key model.widht'],
    ['a wrong value', ['--set', 'model.depth=few'], 'recipe.json: model.depth: '],
    [
      'modules that do not divide the blocks',
      ['--set', 'incubation.modules=3'],
      '3 modules do not divide 4 blocks evenly',
    ],
    ['a setting without a value', ['--set', 'seed'], '--set seed: expected key.path=value'],
    ['a setting that is not YAML', ['--set', 'seed=[1'], '--set seed=[1: the value is not valid YAML'],
    ['a missing folder of images', ['--set', `data.path=${'nowhere'}`], 'nowhere does not exist'],
    [
      'more images per step than the data set has',
      ['--set', 'training.batch_size=64'],
      'a step needs 64 images, but an epoch has only 16',
    ],
    ['an unknown phase', ['--only', 'PT,MT/7'], 'tiny has no phase MT/7'],
    ['an empty argument', ['--only', ''], 'the argument after --only is empty'],
    [
      'a padding that no image needs',
      ['--set', 'data.augment.crop_padding=1e15'],
      'data.augment.crop_padding: ',
    ],
    [
      'a phase without the phases that it starts from',
      ['--only', 'FT'],
      'FT starts from MT/0, MT/1, which is not done',
    ],
  ])('%s', async (_, args, message) => {
    expectInputError(await cli(['run', recipe, '--out', at('run'), ...args]), message);
  });

  test('a missing recipe', async () => {
    expectInputError(await cli(['run', at('none.yaml')]), `the recipe ${at('none.yaml')} does not exist`);
  });

  test('a recipe that is not YAML', async () => {
    writeFileSync(at('bad.yaml'), 'model: {');
    expectInputError(await cli(['plan', at('bad.yaml')]), 'bad.yaml is not valid YAML');
  });

  test('a run folder that cannot be written', async () => {
    const file = at('file');
    writeFileSync(file, '');
    expectInputError(
      await cli(['run', recipe, '--out', join(file, 'run')]),
      `Cannot write ${join(file, 'run')}`,
    );
  });

  test('a run folder of another recipe', async () => {
    const args = ['run', recipe, '--out', at('other')];
    expectInputError(await cli([...args, '--only', 'FT']), 'FT starts from');
    // Before the first checkpoint, the recipe may still be changed; after it, it may not.
    expectInputError(await cli([...args, '--set', 'seed=1', '--only', 'FT']), 'FT starts from');
    expect((await cli([...args, '--set', 'seed=1', '--only', 'PT', '--quiet'])).code).toBe(0);
    expectInputError(
      await cli([...args, '--set', 'seed=2']),
      'was written by another recipe: seed 2 instead of 1',
    );
  });
});

describe('images', () => {
  test('a class without images', async () => {
    await writeImages(at('empty'), { train: 4, val: 1 });
    mkdirSync(at('empty/train/third'));
    const args = ['run', recipe, '--out', at('run-empty'), '--set', `data.path=${at('empty')}`];
    expectInputError(await cli([...args, '--set', 'model.classes=3']), 'third contains no images');
  });

  test('a truncated image, found by a phase in its own process', async () => {
    await writeImages(at('torn'), { train: 8, val: 1 });
    truncateSync(at('torn/train/dark/3.png'), 200);
    const args = ['run', recipe, '--out', at('run-torn'), '--set', `data.path=${at('torn')}`];
    const { stderr, ...ended } = await cli([...args, '--quiet']);
    expectInputError({ stderr, ...ended }, /torn\/train\/dark\/3\.png: cannot be read as an image/);
    expect(readFileSync(at('run-torn/PT/log.txt'), 'utf8')).toContain('3.png: cannot be read as an image');
  });

  test('images with other classes, or another size, than the model’s', async () => {
    const evaluate = (data: string) => cli(['eval', FT, '--data', data, '--set', 'model.heads=4']);
    expectInputError(await evaluate(at('images/val')), /2 classes, but the model has 10/);
    cpSync(at('images/val/dark'), at('sizes/3_dark'), { recursive: true });
    const sizes = ['--data', at('sizes'), '--classes', 'number'];
    expectInputError(
      await cli(['eval', FT, ...sizes, '--set', 'model.heads=4']),
      /the image is 16 x 16 pixels, but the model needs 28 x 28/,
    );
  });

  test('no folder of images', async () => {
    expectInputError(
      await cli(['eval', FT, '--data', at('none'), '--set', 'model.heads=4']),
      /none does not exist/,
    );
  });
});

describe('checkpoints', () => {
  const evaluate = (checkpoint: string) => cli(['eval', checkpoint, '--data', goldenPath('png')]);

  test('a missing one', async () => {
    expectInputError(await evaluate(at('none.pth')), 'none.pth does not exist');
  });

  test('a truncated one', async () => {
    writeFileSync(at('torn.pth'), readFileSync(FT).subarray(0, 100_000));
    for (const command of [evaluate, (path: string) => cli(['inspect', path])]) {
      expectInputError(await command(at('torn.pth')), 'torn.pth');
    }
  });

  test('a malicious one is refused by name, and no code is run', async () => {
    const proof = at('pwned');
    const pickle = `cposix\nsystem\n(S'touch ${proof}'\ntR.`;
    writeFileSync(at('hostile.pth'), storedZip([['archive/data.pkl', Buffer.from(pickle, 'latin1')]]));
    for (const command of [evaluate, (path: string) => cli(['inspect', path])]) {
      expectInputError(await command(at('hostile.pth')), /imports `posix\.system`/);
    }
    expect(existsSync(proof)).toBe(false);
  });

  test('something else', async () => {
    expectInputError(await evaluate(recipe), 'neither a safetensors file nor a file of torch.save');
    expectInputError(await evaluate(at('images')), 'is neither a phase of a run nor a checkpoint');
  });
});

test('a non-finite loss is a failure of the run, not of its input', async () => {
  const args = ['--quiet', '--only', 'PT', '--set', 'training.optimizer.lr=1e30'];
  const { code, stdout, stderr } = await cli(['run', recipe, '--out', at('run-inf'), ...args]);
  expect(stderr).toMatch(
    /^error: PT: the loss is \S+ at step \d+ \(images .*\)\n {2}hint: lower the learning rate.*\n$/,
  );
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
});

describe('the command line itself', () => {
  test.each([
    [['train'], "unknown command 'train'"],
    [['run'], "missing required argument 'recipe-or-run'"],
    [['run', 'r.yaml', '--fast'], "unknown option '--fast'"],
    [['eval', 'x.pth', '--data', '.', '--batch-size', '0'], 'Expected a whole number above 0'],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await cli(args);
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toContain(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('--help and --version', async () => {
    for (const command of ['run', 'phase', 'eval', 'plan', 'inspect', 'report', 'doctor']) {
      const { code, stdout } = await cli([command, '--help']);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^Example/m);
    }
    const { stdout } = await cli(['--help']);
    expect(stdout).toContain('Exit status');
    const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(await cli(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test.each([60, 80])('a limit of %i open files is named, and not reported as a defect', (limit) => {
    const line = `ulimit -n ${limit}; exec "$0" dist/cli/main.js run ${recipe} --out ${at(`limit-${limit}`)} --only PT --quiet`;
    const { status, stderr } = spawnSync('sh', ['-c', line, process.execPath], { encoding: 'utf8' });
    expect(stderr).not.toContain('may be a defect');
    // Node 20 opens many modules at a time. From Node 22 on, the limit may be enough.
    const isEnough = Number(process.versions.node.split('.')[0]) >= 22 && status === 0;
    if (!isEnough)
      expect(stderr).toMatch(
        /^error: Too many files are open: .*\n {2}hint: Raise the limit with `ulimit -n/m,
      );
  });

  test('a closed pipe ends the command silently', async () => {
    const { process: child, ended } = start(['inspect', FT, '--tensors', '--json']);
    child.stdout?.destroy();
    const { code, stderr } = await ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe('without the addon', () => {
  const root = at('bare');
  const options = { main: join(root, 'dist/cli/main.js') };

  beforeAll(() => {
    const project = fileURLToPath(new URL('..', import.meta.url));
    cpSync(join(project, 'dist'), join(root, 'dist'), { recursive: true });
    cpSync(join(project, 'package.json'), join(root, 'package.json'));
    symlinkSync(join(project, 'node_modules'), join(root, 'node_modules'));
  });

  test('run says what to do', async () => {
    const ended = await cli(['run', recipe, '--out', at('run-bare'), '--quiet'], options);
    expectInputError(ended, /the native addon is not built: .*\n {2}hint: run `npx deep-incubation setup`/);
  });

  test('commands that need no libtorch work', async () => {
    const planned = await cli(['plan', recipe, '--json'], options);
    expect(planned.code).toBe(0);
    expect(JSON.parse(planned.stdout).phases).toHaveLength(5);
    const inspected = await cli(['inspect', FT, '--json'], options);
    expect(JSON.parse(inspected.stdout)).toMatchObject({
      format: 'torch',
      geometry: { width: 64, depths: [2, 2, 2, 2] },
    });
  });

  test('doctor reports the missing addon', async () => {
    const { code, stdout, stderr } = await cli(['doctor', '--json'], options);
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    const { problems } = JSON.parse(stdout);
    expect(problems[0]).toMatchObject({
      blocking: true,
      hint: expect.stringContaining('npx deep-incubation setup'),
    });
  });
});
