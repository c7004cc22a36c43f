import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeStandIn, writeRecipe } from './stand-in.js';

// The commands of the pages, run as they are written, one after another: a page may use what those before it left.

const folder = mkdtempSync(join(tmpdir(), 'deep-incubation-docs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const PAGES = ['docs/train.md', 'docs/evaluate.md', 'docs/data.md', 'docs/exchange.md', 'docs/export.md'];
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  env = await makeStandIn(folder);
});

interface Block {
  readonly language: string;
  readonly text: string;
}

function blocksOf(page: string): Block[] {
  const content = readFileSync(fileURLToPath(new URL(`../${page}`, import.meta.url)), 'utf8');
  const fence = /^```(\w*)\n(.*?)^```/gms;
  return [...content.matchAll(fence)].map(([, language, text]) => ({ language, text }));
}

/** A shell as a user has it, in the stand-in's folder. */
function shell(command: string): Promise<{ code: number | null; said: string }> {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', command], {
    cwd: folder,
    env: { ...env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, said }));
  });
}

describe.each(PAGES)('%s', (page) => {
  const blocks = blocksOf(page);
  for (const { language, text } of blocks) {
    const [, path] = /^# (\S+\.yaml)\n/.exec(text) ?? [];
    if (language === 'yaml' && path !== undefined) {
      test(`${path} is a recipe`, () => writeRecipe(folder, path, text));
    }
    if (language !== 'sh') continue;
    test.each(text.trimEnd().split('\n'))('%s', async (command) => {
      expect(await shell(command)).toMatchObject({ code: 0 });
    });
  }
});

test('a command that is wrong would be seen', async () => {
  const { code, said } = await shell('deep-incubation eval runs/none/FT --data data/imagenet | cat');
  expect({ code, said }).toEqual({ code: 2, said: expect.stringContaining('runs/none/FT does not exist') });
});
