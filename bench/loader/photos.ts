import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { RunError } from '../../src/base/errors.js';
import { benchPython, cacheRoot } from '../step/python.js';

const PILLOW = '13.0.0';
const SCIKIT_IMAGE = '0.26.0';

/** The bench's Python (step/python.ts) with Pillow installed. */
export function pillowPython(env: NodeJS.ProcessEnv): string {
  const python = benchPython(env);
  const check = `import PIL; assert PIL.__version__ == "${PILLOW}"`;
  if (spawnSync(python, ['-c', check]).status !== 0) install(python, [`pillow==${PILLOW}`]);
  return python;
}

/** A folder of JPEGs of ImageNet size, created once per machine from scikit-image's photographs (pytorch/photos.py). */
export function photos(python: string, script: string, env: NodeJS.ProcessEnv): string {
  const folder = join(cacheRoot(env), 'bench-photos');
  if (existsSync(folder)) return folder;
  const temporary = mkdtempSync(`${folder}-`);
  try {
    const [sources, made] = [join(temporary, 'sources'), join(temporary, 'made')];
    install(python, ['--no-deps', '--target', sources, `scikit-image==${SCIKIT_IMAGE}`]);
    attempt(python, [script, join(sources, 'skimage/data'), made]);
    renameSync(made, folder);
  } finally {
    rmSync(temporary, { recursive: true });
  }
  return folder;
}

/** Mean size of the JPEGs in a folder and its subfolders. */
export function meanKilobytes(folder: string): number {
  const sizes = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.jpg'))
    .map((name) => statSync(join(folder, name)).size);
  return sizes.reduce((sum, size) => sum + size, 0) / sizes.length / 1e3;
}

function install(python: string, packages: readonly string[]): void {
  process.stderr.write(`pip install ${packages.at(-1)} (once a machine)\n`);
  attempt(python, ['-m', 'pip', 'install', '--quiet', '--no-input', ...packages]);
}

function attempt(command: string, args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return;
  const reason = error?.message ?? stderr.trim().split('\n').at(-1);
  throw new RunError(`the photographs and Pillow for the bench could not be installed: ${reason}`, {
    hint: 'it needs pip and access to a package index',
  });
}
