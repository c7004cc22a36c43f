import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll } from 'vitest';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Started {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts the built command line, as a user does. */
export function start(
  args: readonly string[],
  options: { main?: string; env?: NodeJS.ProcessEnv } = {},
): Started {
  const main = options.main ?? MAIN;
  if (!existsSync(main)) throw new Error(`${main} is missing: npm run build`);
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, NO_COLOR: '1', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (chunk) => (output[name] += chunk));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...output }));
  });
  return { process: child, ended };
}

/** Runs the built command line to its end. */
export function cli(args: readonly string[], options: Parameters<typeof start>[1] = {}): Promise<Ended> {
  return start(args, options).ended;
}

/** A folder that is removed after the tests of the file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'deep-incubation-cli-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function until(condition: () => boolean, what: string): Promise<void> {
  for (const end = Date.now() + 120_000; !condition(); await sleep(10)) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
  }
}

/** train/ and val/ of two classes, dark and bright noise, 16 x 16 PNGs. */
export async function writeImages(
  root: string,
  { train, val }: { train: number; val: number },
): Promise<void> {
  const SIDE = 16;
  for (const [split, count] of [
    ['train', train],
    ['val', val],
  ] as const) {
    for (const [label, name] of ['dark', 'bright'].entries()) {
      const folder = join(root, split, name);
      mkdirSync(folder, { recursive: true });
      for (let i = 0; i < count; i++) {
        // A fixed pattern per file; the classes overlap a little.
        const pattern = (_: unknown, j: number) => ((j * 7919 + i * 104_729) % 160) + label * 60;
        const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, pattern);
        await sharp(data, { raw: { width: SIDE, height: SIDE, channels: 3 } })
          .png()
          .toFile(join(folder, `${i}.png`));
      }
    }
  }
}

/** A recipe small enough for a test: two modules of two blocks. */
export function tinyRecipe(images: string): object {
  return {
    name: 'tiny',
    model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
    incubation: { modules: 2 },
    data: { format: 'folder', path: images },
    training: {
      epochs: 2,
      batch_size: 8,
      log_every: 1,
      eval_every: 5,
      optimizer: { lr: 0.001, lr_batch: null },
      schedule: { kind: 'step-cosine', warmup: 0 },
    },
    phases: { PT: { epochs: 60 }, E2E: { epochs: 2 } },
    run: { device: 'cpu', threads: 1, parallel: 1 },
  };
}

/** The objects of a file with one JSON value per line, without an incomplete last line. */
export function jsonLines(path: string): Record<string, unknown>[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.slice(0, -1).map((line) => JSON.parse(line));
}
