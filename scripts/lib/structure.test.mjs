import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { closure, exportedNames, measureStructure, mutualPairs, pathThrough } from './structure.mjs';
import { temporaryFolder } from './testing.mjs';

const graph = new Map([
  ['a/one.ts', ['b/two.ts', 'a/deep/three.ts']],
  ['a/deep/three.ts', ['b/two.ts']],
  ['b/two.ts', ['a/four.ts']],
  ['a/four.ts', []],
  ['c/five.ts', ['c/five.ts', 'b/two.ts']],
]);

test('folders are a mutual pair if each imports the other, whatever the files', () => {
  expect(mutualPairs(graph)).toEqual([['a', 'b']]);
});

test('a closure contains the file itself and everything that it imports', () => {
  expect([...closure(graph, 'a/deep/three.ts')]).toEqual(['a/deep/three.ts', 'b/two.ts', 'a/four.ts']);
});

test('the path through several stations is the shortest between each two', () => {
  expect(pathThrough(graph, ['c/five.ts', 'b/two.ts', 'a/four.ts'])).toEqual([
    'c/five.ts',
    'b/two.ts',
    'b/two.ts',
    'a/four.ts',
  ]);
  expect(() => pathThrough(graph, ['a/four.ts', 'a/one.ts'])).toThrow('a/four.ts to a/one.ts');
});

test('declared names count once per file; re-exports do not count', () => {
  const texts = new Map([
    ['a.ts', 'export const x = 1, y = 2; export function x2(): void; export function x2() {}\nconst z = 1;'],
    [
      'b.ts',
      "export interface x {}\nexport * from './a.js';\nexport { y } from './a.js';\nexport type T = 1;",
    ],
  ]);
  expect(Object.fromEntries(exportedNames(texts))).toEqual({ x: 2, y: 1, x2: 1, T: 1 });
});

test('the figures of a folder; tests are left out', () => {
  const folder = temporaryFolder();
  const spine = ['cli/main', 'cli/commands/run', 'launch/pipeline', 'launch/phase-process'];
  const phase = [
    'cli/main',
    'cli/commands/phase',
    'phase/run-phase',
    'training/trainer',
    'training/optimizers/optimizer',
  ];
  /** @type {Map<string, Set<string>>} */
  const imports = new Map();
  for (const chain of [spine, phase]) {
    chain.forEach((file, i) => {
      const found = imports.get(file) ?? new Set();
      if (chain[i + 1]) found.add(chain[i + 1]);
      imports.set(file, found);
    });
  }
  for (const [file, targets] of imports) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    const up = '../'.repeat(file.split('/').length - 1);
    const text = [...targets].map((target) => `import '${up}${target}.js';\n`).join('');
    writeFileSync(join(folder, `${file}.ts`), text);
  }
  writeFileSync(join(folder, 'training/top1.ts'), 'export const best = (recipe: Recipe) => recipe.top1;\n');
  writeFileSync(join(folder, 'cli/best.ts'), "// a ViT's top-1, for detection\nexport const best = 1;\n");
  writeFileSync(join(folder, 'cli/eval-detection.ts'), 'const detection = 1;\n');
  writeFileSync(join(folder, 'cli/best.test.ts'), 'export const best = "ViT, top1";\n');
  expect(measureStructure(folder)).toEqual({
    files: 11,
    exported_names: 1,
    duplicate_names: 1,
    mutual_folder_pairs: 0,
    spine: 8,
    closure_of_run_phase: 3,
    files_naming_top1: 2,
    files_naming_vit: 1,
    files_naming_task: 1,
    recipe_parameters: 1,
  });
});
