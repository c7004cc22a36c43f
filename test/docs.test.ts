import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { planRun } from '../src/launch/prepare.js';
import { compile, phaseOf } from '../src/recipe/compile.js';
import { checkedRecipe, defineRecipe, readRecipe, recipeJsonSchema } from '../src/recipe/recipe.js';
import { checkCommand, commandsOf } from './docs-shell.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];
const textOf = (page: string) => readFileSync(join(root, page), 'utf8');

/** The contents of a page's fenced blocks of a language. */
function blocks(page: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, 'gms');
  return [...textOf(page).matchAll(fence)].map(([, content]) => content);
}

/** A heading's anchor, as GitHub makes it. */
function anchorOf(heading: string): string {
  const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
  return text.replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
}

function anchors(page: string): string[] {
  const prose = textOf(page).replace(/^```.*?^```/gms, '');
  return [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading));
}

describe.each(pages)('%s', (page) => {
  const links = [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target);
  const local = links.filter((target) => !/^[a-z]+:/.test(target));

  test.each(local)('links to %s, which exists', (target) => {
    const [path, anchor] = target.split('#');
    const file = path === '' ? page : relative(root, join(root, dirname(page), path));
    expect(existsSync(join(root, file))).toBe(true);
    if (anchor !== undefined) expect(anchors(file)).toContain(anchor);
  });

  test('is linked from another page', () => {
    const leads = pages.filter(
      (other) => other !== page && textOf(other).includes(page.replace('docs/', '')),
    );
    expect(page === 'README.md' || leads.length > 0).toBe(true);
  });
});

test('pictures are small, and each is on a page', () => {
  const pictures = ['docs/pictures', 'docs/images'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
  );
  expect(pictures.length).toBeGreaterThan(5);
  expect(pictures.filter((picture) => statSync(join(root, picture)).size > 150_000)).toEqual([]);
  const text = pages.map(textOf).join();
  expect(pictures.filter((picture) => !text.includes(picture.replace('docs/', '')))).toEqual([]);
});

test('README.md is under 150 lines', () => {
  expect(textOf('README.md').split('\n').length).toBeLessThan(150);
});

describe('docs/recipes.md', () => {
  interface Schema {
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly anyOf?: readonly Schema[];
    readonly default?: unknown;
  }

  /** Each key of the schema by its path, with its default. */
  function* keysOf(schema: Schema, path = ''): Iterable<[key: string, fallback: unknown]> {
    for (const [name, value] of Object.entries(schema.properties ?? {})) {
      const key = path === '' ? name : `${path}.${name}`;
      yield [key, value.default];
      yield* keysOf(value, key);
    }
    for (const option of schema.anyOf ?? []) yield* keysOf(option, path);
  }
  const every = new Map(keysOf(recipeJsonSchema()));
  // Phases have the keys of `training`, which are documented only once.
  const keys = new Map(
    [...every].filter(
      ([key]) => !every.has(key.replace(/^phases\.\w+\.(?=.)/, 'training.')) || !/^phases\.\w+\./.test(key),
    ),
  );
  const rows = new Map(
    [...textOf('docs/recipes.md').matchAll(/^\| `([\w.]+)` +\| (.*?) +\| .*\|$/gm)].map(
      ([, key, fallback]) => [key, fallback.replace(/^`(.*)`$/, '$1')] as const,
    ),
  );

  test('the schema is walked to its leaves', () => {
    for (const key of ['data.augment.flip', 'training.distill.tau', 'phases.MT.objective', 'run.threads']) {
      expect([...keys.keys()]).toContain(key);
    }
  });

  test.each([...keys])('documents %s, with its default', (key, fallback) => {
    expect([...rows.keys()]).toContain(key);
    if (fallback === undefined) return;
    const documented = rows.get(key) ?? '';
    expect(typeof fallback === 'string' ? documented : JSON.parse(documented)).toEqual(fallback);
  });

  test('documents the defaults of each phase', () => {
    const recipe = defineRecipe({
      name: 'least',
      model: { preset: 'vit-tiny' },
      incubation: {},
      data: { format: 'folder' },
    });
    const { settings } = phaseOf(recipe, 'MT/0');
    const { optimizer, schedule, ...others } = settings;
    const flat = { ...others, ...prefixed('optimizer.', optimizer), ...prefixed('schedule.', schedule) };
    for (const [name, value] of Object.entries(flat)) {
      const documented = rows.get(`training.${name}`) ?? '';
      expect([name, typeof value === 'string' ? documented : JSON.parse(documented)]).toEqual([name, value]);
    }
    expect(compile(recipe).map(({ name }) => name)).toEqual(['PT', 'MT/0', 'MT/1', 'MT/2', 'MT/3', 'FT']);
  });

  test('documents no setting that does not exist', () => {
    const sections = /^(model|incubation|data|training|phases|run)\./;
    expect([...rows.keys()].filter((key) => sections.test(key) && !keys.has(key))).toEqual([]);
  });
});

function prefixed(prefix: string, values: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));
}

describe('docs/train.md', () => {
  const rows = [
    ...textOf('docs/train.md').matchAll(
      /^\| `((?:vit|deit3|deit)-[\w-]+\.yaml)` +\|.*?\|.*?\| ([\d +]+?) +\| ([\d.]*) +\|$/gm,
    ),
  ].map(([, recipe, epochs, cost]) => ({ recipe, epochs, cost }));
  const planOf = (recipe: string, settings: readonly string[] = []) => {
    const read = readRecipe(join(root, 'recipes/imagenet', recipe), settings);
    return planRun(read, Math.round(1_281_167 * read.data.fraction));
  };

  test('documents every recipe in recipes/imagenet', () => {
    const files = readdirSync(join(root, 'recipes/imagenet'));
    expect(rows.map(({ recipe }) => recipe).sort()).toEqual(files.sort());
  });

  test.each(rows)(
    '$recipe trains $epochs epochs, at $cost of the cost of end to end',
    ({ recipe, epochs, cost }) => {
      const { phases, incubation } = planOf(recipe);
      const own = incubation.block_passes > 0 ? ['PT', 'MT/0', 'FT'] : ['E2E'];
      const documented = own.flatMap((name) => phases.find(({ phase }) => phase === name) ?? []);
      expect(documented.map((phase) => Math.round(phase.epochs)).join(' + ')).toBe(epochs);
      if (cost === '') return expect(phases.map(({ phase }) => phase)).toEqual(['FT']);
      // The shorter schedules are compared with the baseline of the full one.
      const whole = planOf(recipe.replace(/-(25|50)\.yaml$/, '.yaml').replace('-data', ''), [
        'phases.E2E={ epochs: 300, curriculum: null }',
      ]);
      const scale = readRecipe(join(root, 'recipes/imagenet', recipe)).data.fraction;
      const baseline = whole.phases.find(({ phase }) => phase === 'E2E');
      const [{ block_passes: alone }] = phases;
      expect((incubation.block_passes || alone) / scale / (baseline?.block_passes ?? 0)).toBeCloseTo(
        Number(cost),
        2,
      );
    },
  );
});

describe("the paper's tables in docs/results.md", () => {
  const rows = [
    ...textOf('docs/results.md').matchAll(
      /^\| (.+?) +\| .+? +\| `run (\S+)( [^`]*)?` +\| ([\d.]+) +\| ([\d.]+) +\| ([\d.]*) +\|$/gm,
    ),
  ].map(([, row, recipe, options = '', millions, giga, cost]) => {
    return { row, recipe, options, millions, giga, cost };
  });

  test('name every recipe of the paper except those of ViT-B without published figures', () => {
    const folders = ['recipes/imagenet', 'recipes/cifar-100'];
    const files = folders.flatMap((folder) =>
      readdirSync(join(root, folder)).map((name) => `${folder}/${name}`),
    );
    const absent = files.filter((file) => !rows.some(({ recipe }) => recipe === file));
    expect(absent).toEqual(['recipes/imagenet/vit-b-25.yaml', 'recipes/imagenet/vit-b-50.yaml']);
  });

  test.each(rows)('$row: $recipe', async ({ recipe, options, millions, giga, cost }) => {
    await checkCommand(commandsOf(`deep-incubation run ${recipe}${options}`)[0]);
    const settings = [...options.matchAll(/--set (\S+)/g)].map(([, setting]) => setting);
    const imagenet = recipe.includes('imagenet');
    const planned = (more: readonly string[] = []) =>
      planRun(readRecipe(join(root, recipe), [...settings, ...more]), imagenet ? 1_281_167 : 50_000);
    const { phases, incubation } = planned();
    const target = phases.at(-1); // FT or E2E: the whole model
    expect(((target?.parameters ?? 0) / 1e6).toFixed(1)).toBe(millions);
    expect(((target?.forward_macs ?? 0) / 1e9).toFixed(2)).toBe(giga);
    const baseline = (of: typeof phases) =>
      of.find(({ phase }) => phase === 'E2E')?.block_passes ?? Number.NaN;
    if (cost === '') return expect(phases.map(({ phase }) => phase)).toEqual(['FT']);
    const isBaseline = options.includes('--only E2E') || incubation.block_passes === 0;
    const spent = isBaseline ? baseline(phases) : incubation.block_passes;
    const baselineEpochs = imagenet ? 300 : recipe.includes('resnet') ? 160 : 200;
    const whole = planned([`phases.E2E={ epochs: ${baselineEpochs}, curriculum: null }`]).phases;
    expect((spent / baseline(whole)).toFixed(3)).toBe(cost);
  });
});

test('the recipe in README.md is a valid one', () => {
  const [recipe, ...others] = blocks('README.md', 'yaml');
  expect(others).toEqual([]);
  expect(checkedRecipe(parse(recipe), 'README.md').incubation).toMatchObject({ modules: 4 });
});

test('the TypeScript in README.md type-checks', () => {
  const [code, ...others] = blocks('README.md', 'ts');
  expect(others).toEqual([]);
  expect(diagnosticsOf(code)).toEqual([]);
  expect(diagnosticsOf(code.replace('modules: 4', "modules: 'four'"))).not.toEqual([]);
});

/** The compiler's errors for a file in the root, with the project's settings. */
function diagnosticsOf(code: string): string[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const file = join(root, 'readme-example.ts');
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists } = host;
  host.readFile = (path) => (path === file ? code : readFile(path));
  host.fileExists = (path) => path === file || fileExists(path);
  const paths = { 'deep-incubation': [join(root, 'src/index.ts')] };
  const program = ts.createProgram([file], { ...options, paths }, host);
  const source = program.getSourceFile(file);
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(
    ({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'),
  );
}
