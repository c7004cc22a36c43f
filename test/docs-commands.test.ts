import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createProgram } from '../src/cli/declare/program.js';
import { blocksOf, checkCommand, commandsOf, hidesCommands, PAGES, pageText } from './docs-shell.js';
import { makeStandIn, writeRecipe } from './stand-in.js';

// Runs the commands of the pages as they are written, in sequence: a page may use results of earlier pages.

const folder = mkdtempSync(join(tmpdir(), 'deep-incubation-docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Pages whose trained models other pages use. */
const FIRST = [
  'docs/train.md',
  'docs/evaluate.md',
  'docs/data.md',
  'docs/exchange.md',
  'docs/export.md',
  'docs/recipes.md',
];
const ordered = [...FIRST, ...PAGES.filter((page) => !FIRST.includes(page))];

/** Commands that are only parsed, not run, and the reason. */
const ONLY_READ: readonly (readonly [what: RegExp, why: string])[] = [
  [/^git clone /, 'needs the network'],
  [/ push (?!.*--dry-run)/, 'needs the network and a token'],
  [/^npm run (demo|example|bench)\b/, 'takes minutes; the example and the benches have tests of their own'],
  [/^(npm run|npx deep-incubation) setup\b/, 'sets up the machine, with the network'],
  [/^(npx )?deep-incubation watch /, 'serves until it is stopped'],
  [/^ssh /, 'needs another machine'],
  [/^(torchrun|srun) /, 'needs a launcher'],
  [/ --launcher slurm(?!.* --dry-run)/, 'needs a cluster'],
  [/\| kubectl /, 'needs a cluster'],
  [/ plan .*(vit-b-data-25|data\.fraction)/, 'the stand-in has fewer images than a batch: refused'],
  [/ --classes data\/imagenet/, 'the stand-in has other classes than the weights'],
  [/ run runs\/vit-b --set /, 'continues a run of another page; src/launch/more-epochs.test.ts does so'],
  [/ track /, 'needs the server of a tracker; test/trackers.test.ts has one'],
  [/^tensorboard /, 'serves until it is stopped, and is another program'],
];
const onlyRead = (line: string) => ONLY_READ.find(([what]) => what.test(line));

let env: NodeJS.ProcessEnv;
beforeAll(async () => {
  env = await makeStandIn(folder);
});

/** Runs a command in a shell, as a user would, in the folder of the stand-in. */
function shell(command: string): Promise<{ code: number | null; output: string }> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', command], {
    cwd: folder,
    env: { ...env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, output }));
  });
}

const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));

async function checkLine(line: string): Promise<void> {
  for (const words of commandsOf(line)) await checkCommand(words);
}

describe.each(ordered)('%s', (page) => {
  test('exists', () => expect(pageText(page)).not.toBe(''));

  for (const block of blocksOf(page)) {
    const { language, text } = block;
    const [, path] = /^# (\S+\.yaml)\n/.exec(text) ?? [];
    if (language === 'yaml' && path !== undefined) {
      test(`${path} is a recipe`, () => writeRecipe(folder, path, text));
    }
    if (hidesCommands(block)) test(`is marked as sh: ${text}`, () => expect(language).toBe('sh'));
    if (language !== 'sh') continue;
    for (const line of linesOf(text)) {
      const read = onlyRead(line);
      if (read !== undefined) test(`${line} (only parsed: it ${read[1]})`, () => checkLine(line));
      else test(line, async () => expect(await shell(line)).toMatchObject({ code: 0 }));
    }
  }

  const prose = pageText(page).replace(/^```.*?^```/gms, '');
  const quoted = [...prose.matchAll(/`((?:npx )?deep-incubation [a-z][^`]*|npm run [^`]+)`/g)].map(
    ([, command]) => command,
  );
  const commands = quoted.filter((command) => !/^deep-incubation (runs on|needs) /.test(command));
  if (commands.length > 0) {
    test.each(commands)('in prose: %s', async (line) => {
      for (const words of commandsOf(line.replaceAll('\\|', '|')))
        await checkCommand(words, { partial: true });
    });
  }
});

test('each reason not to run a command applies to some command', () => {
  const lines = PAGES.flatMap(blocksOf).flatMap(({ language, text }) =>
    language === 'sh' ? linesOf(text) : [],
  );
  expect(ONLY_READ.filter(([what]) => !lines.some((line) => what.test(line)))).toEqual([]);
  expect(lines.filter((line) => onlyRead(line) === undefined).length).toBeGreaterThan(50);
});

describe('the table of commands in README.md', () => {
  const cells = [...pageText('README.md').matchAll(/^\| (`[a-z].*?) +\| /gm)].map(([, cell]) => cell);
  const usages = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, usage]) => usage));

  test.each(usages)('%s', async (usage) => {
    const words = usage
      .replace(/[[\]]|\.\.\./g, '')
      .replace('k=v', 'seed=1')
      .replace('FORMAT', 'timm')
      .split(' ');
    await checkCommand(['deep-incubation', ...words], { partial: true });
  });

  test('has every command except that of launchers', () => {
    const names = createProgram().commands.map((command) => command.name());
    expect([...new Set(usages.map((usage) => usage.split(' ')[0]))].sort()).toEqual(
      names.filter((name) => name !== 'phase').sort(),
    );
  });
});

describe('a command that is wrong', () => {
  test('is detected when it is run', async () => {
    const { code, output } = await shell('deep-incubation eval runs/none/FT --data data/imagenet | cat');
    expect({ code, output }).toEqual({
      code: 2,
      output: expect.stringContaining('runs/none/FT does not exist'),
    });
  });

  test.each([
    ['deep-incubation watch runs/demo --prot 8123', "unknown option '--prot'"],
    ['torchrun --no-python deep-incubation phases my.yaml PT', "unknown command 'phases'"],
    ['ssh server npx deep-incubation watch', "missing required argument 'run'"],
    ['deep-incubation run my.yaml --launcher slurn', "argument 'slurn' is invalid"],
    ['deep-incubation run my.yaml --launcher slurm --set run.slurm.gpu=1', 'gpu'],
    ['deep-incubation run recipes/dema.yaml --launcher slurm', 'recipes/dema.yaml does not exist'],
    ['npm run demos', 'no script demos'],
    ['npm run bench -- steps', 'no bench steps'],
  ])('is detected when it is only parsed: %s', async (line, message) => {
    await expect(checkLine(line)).rejects.toThrow(message);
  });
});
