import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';
import { skipWithout } from './needs.js';

// Installs the package that npm packs into a separate project, which cannot access the clone.

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = temporaryFolder();
const project = join(folder, 'project');
const SLOW = 300_000;
/** 59 MB on x64 when this limit was set. */
const MOST_INSTALLED_BYTES = 100e6;

interface Ended {
  readonly code: number;
  readonly output: string;
}

function run(command: string, args: readonly string[], cwd = project): Promise<Ended> {
  const env = { ...process.env, NO_COLOR: '1' };
  return new Promise((resolve) => {
    execFile(command, args, { cwd, env, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
  });
}
const ours = (...args: string[]) => run('npx', ['--no', 'deep-incubation', ...args]);

const USER = `
import { assemble, divide, type Divisible, hybrid, Layer, metaDepths } from 'deep-incubation';
import { Generator, type InitContext, Linear, mean, type Tensor, zeros } from 'deep-incubation/nn';

class Dense extends Layer {
  readonly proj: Linear;
  constructor(inputs: number, outputs: number, context: InitContext) {
    super();
    this.proj = new Linear(inputs, outputs, context);
  }
  forward(x: Tensor): Tensor {
    return this.proj.forward(x.shape.length === 4 ? mean(mean(x, 3), 2) : x);
  }
}
const generator = new Generator().seed(['user']);
const context: InitContext = { device: 'cpu', dtype: 'F32', generator };
const dense: Divisible = {
  depth: 4,
  makeStem: (at) => new Dense(3, 8, at),
  makeBlock: (_rate, at) => new Dense(8, 8, at),
  makeHead: (at) => new Dense(8, 2, at),
};
const target = divide(dense.depth, { modules: 2 });
const meta = assemble(dense, metaDepths(2), null, context);
const hybrids = target.map((_, i) => hybrid(dense, target, meta, i, context));
const model = assemble(dense, target, hybrids.map(({ stages }, i) => stages[i]), context);
const logits = model.forward(zeros([5, 3, 4, 4]), { training: false, generator, key: [] });
console.log(JSON.stringify(logits.shape));
`;

describe('the packed package', () => {
  let packed: string[] = [];
  let unreachable: string | undefined;

  beforeAll(async () => {
    mkdirSync(project);
    // `prepack` is not run: its output exists, and other tests are reading it.
    const pack = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], root);
    const [{ filename, files }] = JSON.parse(pack.output.slice(pack.output.search(/^\[/m))) as [
      { filename: string; files: { path: string }[] },
    ];
    packed = files.map(({ path }) => path);
    writeFileSync(
      join(project, 'package.json'),
      JSON.stringify({ name: 'project', private: true, type: 'module' }),
    );
    const flags = ['--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
    const args = ['install', join(folder, filename), ...flags];
    const install = await run('npm', args);
    if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ENOTCACHED/.test(install.output)) {
      unreachable = 'npm cannot reach its package registry';
    } else if (install.code !== 0) throw new Error(install.output);
  }, SLOW);

  test('contains what a user needs, and no tests', () => {
    const wanted = ['README.md', 'LICENSE', 'dist/index.js', 'dist/index.d.ts', 'dist/nn/index.js'];
    const built = ['dist/cli/main.js', 'native/addon.cc', 'scripts/setup.mjs', 'recipes/demo.yaml'];
    expect(packed).toEqual(expect.arrayContaining([...wanted, ...built]));
    const unwanted = /\.test\.|^(test|src|bench|docs|examples)\/|native\/build|\.tsbuildinfo$|\.stamp$/;
    expect(packed.filter((path) => unwanted.test(path))).toEqual([]);
    // The sources are not packed: the source maps contain them for debuggers.
    const map = JSON.parse(readFileSync(join(root, 'dist/index.js.map'), 'utf8'));
    expect(map.sourcesContent).toEqual([readFileSync(join(root, 'src/index.ts'), 'utf8')]);
  });

  test('installs at most 100 MB without libtorch, and needs no install script', (context) => {
    skipWithout(context, { missing: unreachable });
    const modules = join(project, 'node_modules');
    const files = readdirSync(modules, { recursive: true, withFileTypes: true }).filter((each) =>
      each.isFile(),
    );
    const bytes = files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
    expect(bytes).toBeLessThan(MOST_INSTALLED_BYTES);
    const { packages } = JSON.parse(readFileSync(join(modules, '.package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean }>;
    };
    expect(Object.keys(packages).length).toBeLessThan(110);
    expect(Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
  });

  test(
    'before the addon is built, doctor prints the command that builds it; the command works',
    async (context) => {
      skipWithout(context, { missing: unreachable });
      const before = await ours('doctor');
      expect(before.output).toContain('hint: run `npx deep-incubation setup`');
      expect(before.code).toBe(1);
      const setup = await ours('setup', '--only', 'libtorch,addon');
      expect(setup).toMatchObject({ code: 0, output: expect.stringMatching(/^set up in /m) });
      const after = await ours('doctor', '--json');
      expect(after.code).toBe(0);
      expect(JSON.parse(after.output).libtorch.version).toMatch(/^2\./);
    },
    SLOW,
  );

  test(
    'is a library with types',
    async (context) => {
      skipWithout(context, { missing: unreachable });
      writeFileSync(join(project, 'user.ts'), USER);
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      // Its declarations are checked too, as without skipLibCheck.
      const types = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node'];
      const strict = ['--strict', '--exactOptionalPropertyTypes', '--verbatimModuleSyntax'];
      const given = [tsc, ...strict, ...types, '--target', 'ES2022', 'user.ts'];
      const resolutions = [
        ['--module', 'ESNext', '--moduleResolution', 'Bundler', '--noEmit'],
        ['--module', 'NodeNext', '--moduleResolution', 'NodeNext'],
      ];
      for (const resolution of resolutions) {
        expect(await run(process.execPath, [...given, ...resolution])).toEqual({ code: 0, output: '' });
      }
      expect(await run(process.execPath, ['user.js'])).toEqual({ code: 0, output: '[5,2]\n' });
    },
    SLOW,
  );

  test(
    'trains a recipe',
    async (context) => {
      skipWithout(context, { missing: unreachable });
      await writeImages(join(project, 'images'), { train: 16, val: 4 });
      const recipe = { ...tinyRecipe('images'), phases: { PT: { epochs: 2 }, E2E: 'none' } };
      writeFileSync(join(project, 'recipe.yaml'), JSON.stringify(recipe));
      const ended = await ours('run', 'recipe.yaml', '--out', 'run');
      expect(ended.output).toContain('FT');
      expect(ended.code).toBe(0);
      const result = JSON.parse(readFileSync(join(project, 'run/summary.json'), 'utf8'));
      expect(JSON.stringify(result)).toContain('"FT"');
    },
    SLOW,
  );
});
