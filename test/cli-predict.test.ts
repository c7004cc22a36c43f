import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { predict } from '../src/index.js';
import { cli, jsonLines, temporaryFolder } from './cli-support.js';
import { goldenPath } from './support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const images = readdirSync(goldenPath('png')).sort();
const MODEL = [goldenPath('ckpt/FT.pth'), '--set', 'model.heads=4', '--set', 'run.threads=1'];
const [CHECKPOINT, ...SETTINGS] = MODEL;
const ask = (paths: readonly string[], ...args: string[]) =>
  cli(['predict', CHECKPOINT, ...paths, ...SETTINGS, ...args]);
const parsed = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

/** The golden images in a folder for each class, two levels deep, and unlabelled. */
beforeAll(() => {
  for (const name of images) {
    const label = /_y(\d)/.exec(name)?.[1] ?? '';
    mkdirSync(at(`classes/${label}`), { recursive: true });
    cpSync(goldenPath(`png/${name}`), at(`classes/${label}/${name.replace(/_y\d/, '')}`));
  }
});

test('logits and probabilities equal those of eval bit for bit, from the library too', async () => {
  const data = at('classes');
  const evaluated = await cli([
    ...['eval', ...MODEL, '--data', data, '--classes', 'number', '--batch-size', '5', '--json'],
    ...['--per-image', at('eval.jsonl'), '--top', '10'],
  ]);
  expect(evaluated.code).toBe(0);
  const expected = jsonLines(at('eval.jsonl'));
  expect(expected.length).toBe(16);
  const hits = expected.filter(
    ({ target, predictions }) => (predictions as { class: string }[])[0].class === target,
  );
  expect(JSON.parse(evaluated.stdout).top1).toBe((100 * hits.length) / 16);

  const { code, stdout } = await ask([data], '--json', '--top', '10', '--batch-size', '5');
  expect(code).toBe(0);
  const unlabelled = expected.map(({ image, predictions }) => ({ image, predictions }));
  expect(parsed(stdout)).toEqual(unlabelled);

  const found = [];
  const options = { settings: ['model.heads=4', 'run.threads=1'], top: 10, batchSize: 5 };
  for await (const result of predict(CHECKPOINT, [data], options)) found.push(result);
  expect(found).toEqual(unlabelled);
  const logits = parsed(stdout)[0].predictions.map(({ logit }: { logit: number }) => Math.exp(logit));
  const sum = logits.reduce((a: number, b: number) => a + b);
  expect(parsed(stdout)[0].predictions[3].probability).toBeCloseTo(logits[3] / sum, 12);
});

test('a table, CSV and JSON lines have the same content; --top limits the classes', async () => {
  const path = at('classes/0');
  const [table, csv, json] = await Promise.all(
    [[], ['--csv'], ['--json']].map((format) => ask([path], '--top', '2', ...format)),
  );
  expect([table.code, csv.code, json.code]).toEqual([0, 0, 0]);
  const rows = parsed(json.stdout);
  expect(csv.stdout.split('\n')[0]).toBe('image,class_1,probability_1,class_2,probability_2');
  expect(csv.stdout.trimEnd().split('\n').slice(1)).toEqual(
    rows.map(({ image, predictions: [a, b] }) =>
      [image, a.class, a.probability, b.class, b.probability].join(','),
    ),
  );
  const lines = table.stdout.trimEnd().split('\n');
  expect(lines.length).toBe(rows.length);
  for (const [i, { image, predictions }] of rows.entries()) {
    expect(lines[i].startsWith(image)).toBe(true);
    expect(lines[i]).toContain(`${(100 * predictions[1].probability).toFixed(2)} %`);
  }
});

describe('unreadable images', () => {
  const names = images.slice(0, 7);
  beforeAll(() => {
    mkdirSync(at('mixed/deep'), { recursive: true });
    for (const [i, name] of names.entries()) cpSync(goldenPath(`png/${name}`), at(`mixed/deep/${i}.png`));
    truncateSync(at('mixed/deep/0.png'), 60);
    writeFileSync(at('mixed/deep/4.png'), '<!DOCTYPE html>');
    writeFileSync(at('mixed/deep/6.png'), '');
    writeFileSync(at('mixed/notes.txt'), 'x');
  });

  test.each([1, 3, 64])(
    'in batches of %i: listed and skipped, exit 1; the others are as without them',
    async (size) => {
      const whole = [1, 2, 3, 5].map((i) => at(`mixed/deep/${i}.png`));
      const expected = parsed((await ask(whole, '--json')).stdout);
      const { code, stdout, stderr } = await ask([at('mixed')], '--json', '--batch-size', String(size));
      expect(code).toBe(1);
      const rows = parsed(stdout);
      expect(rows.map(({ image }) => image)).toEqual(
        [0, 1, 2, 3, 4, 5, 6].map((i) => at(`mixed/deep/${i}.png`)),
      );
      const good = rows.filter(({ error }) => error === undefined);
      expect(good.map(({ image, predictions }) => [image, predictions[0].class])).toEqual(
        expected.map(({ image, predictions }) => [image, predictions[0].class]),
      );
      for (const i of [0, 4, 6]) expect(stderr).toContain(`mixed/deep/${i}.png: cannot be read as an image`);
      expect(stderr).toContain('3 of 7 images could not be read');
      expect(stderr).toContain('not read: 1 named .txt');
    },
  );

  test('a CSV has only the readable ones', async () => {
    const { code, stdout } = await ask([at('mixed')], '--csv', '--top', '1');
    expect([code, stdout.trimEnd().split('\n').length]).toEqual([1, 5]);
  });
});

test.each<[string, string[], string[], RegExp]>([
  ['a missing path', [at('none.png')], [], /none\.png does not exist/],
  ['a missing path after a good one', [at('classes'), at('none')], [], /none does not exist/],
  ['a folder without images', [folder.replace(/$/, '/empty')], [], /contains no images/],
  ['two formats', [at('classes')], ['--csv', '--json'], /'--csv' cannot be used with option '--json'/],
  ['no classes', [at('classes')], ['--top', '0'], /whole number above 0/],
  ['a missing checkpoint', [at('classes')], ['--recipe', 'none.yaml'], /none\.yaml/],
])('%s: exit 2, nothing printed', async (_, paths, args, message) => {
  mkdirSync(at('empty'), { recursive: true });
  const { code, stdout, stderr } = await ask(paths, ...args);
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringMatching(message)]);
});

describe('eval --per-image', () => {
  const evaluate = (file: string) =>
    cli(['eval', ...MODEL, '--data', goldenPath('png'), '--per-image', file]);

  test('a CSV has the target and the predictions of every image', async () => {
    expect((await evaluate(at('rows.csv'))).code).toBe(0);
    const [head, ...rows] = readFileSync(at('rows.csv'), 'utf8').trimEnd().split('\n');
    expect(head.split(',').slice(0, 4)).toEqual(['image', 'target', 'class_1', 'probability_1']);
    expect(rows.map((row) => row.split(',')[1])).toEqual(images.map((name) => /_y(\d)/.exec(name)?.[1]));
    const again = await evaluate(at('rows.csv'));
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('rows.csv: the file exists')]);
    expect(readFileSync(at('rows.csv'), 'utf8').startsWith(head)).toBe(true);
  });

  test('another extension is refused before anything is read, and leaves no file', async () => {
    const { code, stderr } = await evaluate(at('rows.xlsx'));
    expect([code, stderr]).toEqual([2, expect.stringContaining('must end in .csv or .jsonl')]);
    expect(existsSync(at('rows.xlsx'))).toBe(false);
  });
});
