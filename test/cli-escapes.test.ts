import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { writeSafetensors } from '../src/weights/safetensors/safetensors.js';
import { cli, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';

// Printed text may come from files of other people: control characters in it must not reach the terminal.

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const EVIL = '\u001b]0;evil\u0007\u009b2J\u202egpj\u2028\u007f\r';
const WRITTEN = '\\u001b]0;evil\\u0007\\u009b2J\\u202egpj\\u2028\\u007f\\u000d';
const run = at('run');

beforeAll(async () => {
  await writeImages(at('images'), { train: 8, val: 2 });
  const tiny = tinyRecipe(at('images'));
  writeFileSync(at('recipe.json'), JSON.stringify({ ...tiny, phases: { PT: { epochs: 1 } } }));
  expect(await cli(['run', at('recipe.json'), '--out', run, '--only', 'PT'])).toMatchObject({ code: 0 });
}, 60_000);

/** Output on both streams; fails if it contains control characters other than line feeds. */
async function outputOf(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const { stdout, stderr } = await cli(args, { env });
  const text = stdout + stderr;
  expect(text).not.toMatch(/[^\P{Cc}\n]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u);
  return text;
}

test('status: of the run name, an error and its hint', async () => {
  const path = join(run, 'recipe.json');
  const recipe = JSON.parse(readFileSync(path, 'utf8'));
  const evil = at('evil');
  cpSync(run, evil, { recursive: true });
  writeFileSync(join(evil, 'recipe.json'), JSON.stringify({ ...recipe, name: `run${EVIL}` }));
  mkdirSync(join(evil, 'FT'));
  const failed = { state: 'failed', pid: null, host: 'h', restarts: 0, since: null };
  const status = { ...failed, last_error: `bad ${EVIL}\nnext`, hint: `do ${EVIL}` };
  writeFileSync(join(evil, 'FT/status.json'), JSON.stringify(status));
  const text = await outputOf(['status', evil]);
  expect(text).toContain(`run${WRITTEN}`);
  expect(text).toContain(`bad ${WRITTEN}\\u000anext`);
  expect(text).toContain(`do ${WRITTEN}`);
  const json = await outputOf(['status', evil, '--json']);
  expect(JSON.parse(json)).toMatchObject({ name: `run${EVIL}` });
});

test('inspect: of metadata, its keys, and names of tensors', async () => {
  const path = at('model.safetensors');
  const tensors = new Map([[`a${EVIL}`, { dtype: 'F32', shape: [1], data: new Uint8Array(4) } as const]]);
  writeSafetensors(path, tensors, { [`key${EVIL}`]: `value${EVIL}\nforged  line` });
  const text = await outputOf(['inspect', path, '--tensors']);
  expect(text).toContain(`key${WRITTEN}`);
  expect(text).toContain(`value${WRITTEN}\\u000aforged  line`);
  expect(text).toContain(`a${WRITTEN}`);
  expect(JSON.parse((await cli(['inspect', path, '--json'])).stdout).metadata).toEqual({
    [`key${EVIL}`]: `value${EVIL}\nforged  line`,
  });
});

test('data check: of names of files and classes', async () => {
  const images = at('named');
  cpSync(at('images'), images, { recursive: true });
  const strange = join(images, 'train', `class${EVIL}`);
  mkdirSync(strange);
  writeFileSync(join(strange, `image${EVIL}\n.png`), 'no image');
  const text = await outputOf(['data', 'check', images]);
  expect(text).toContain(`class${WRITTEN}/image${WRITTEN}\\u000a.png`);
});

test("errors, and commander's messages about an argument", async () => {
  expect(await outputOf(['inspect', at(`none${EVIL}`)])).toContain(`none${WRITTEN}`);
  expect(await outputOf([`--none${EVIL}`])).toContain(`--none${WRITTEN}`);
});

test('a phase log contains no control characters', async () => {
  const images = at('damaged');
  cpSync(at('images'), images, { recursive: true });
  writeFileSync(join(images, 'train/dark', `image${EVIL}.png`), 'no image');
  const set = [`data.path=${images}`, 'data.bad_images=replace'].flatMap((each) => ['--set', each]);
  await outputOf(['run', at('recipe.json'), '--out', at('logged'), '--only', 'PT', ...set]);
  const log = readFileSync(at('logged/PT/log.txt'), 'utf8');
  expect(log).toContain(`image${WRITTEN}.png`);
  expect(log).not.toMatch(/[^\P{Cc}\n]/u);
});

test('our own colours still work', async () => {
  const { stdout } = await cli(['status', run], { env: { NO_COLOR: undefined, FORCE_COLOR: '1' } });
  expect(stdout).toContain('\u001b[1mtiny\u001b[22m');
});
