import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import ts from 'typescript';

/**
 * The import graph of a source folder: for each file, the files that it imports. Types count like values.
 * @typedef {Map<string, string[]>} Graph
 */

/**
 * Figures of the structure of the sources.
 * @typedef {object} Figures
 * @property {number} files  without tests
 * @property {number} exported_names  different names that some file exports
 * @property {number} duplicate_names  of those, names that several files declare
 * @property {number} mutual_folder_pairs  pairs of folders whose files import each other
 * @property {number} spine  files on the way from the command line to the optimizer
 * @property {number} closure_of_run_phase  files that run-phase.ts needs, itself included, without the folders of the model
 *   families and the tasks and the readers of data formats: a new family, task or format may add its own files
 * @property {number} files_naming_top1
 * @property {number} files_naming_vit  outside models/vit
 * @property {number} files_naming_task  segmentation or detection, outside their folders and those of their models and data
 * @property {number} recipe_parameters  parameters and fields written `recipe: Recipe`
 */

/** Files that control passes through from `run RECIPE` to `optimizer.step`. A phase is a process of its own. */
const SPINE = [
  ['cli/main.ts', 'cli/commands/run.ts', 'launch/pipeline.ts', 'launch/phase-process.ts'],
  ['cli/main.ts', 'cli/commands/phase.ts', 'phase/run-phase.ts', 'training/trainer.ts'],
  ['training/trainer.ts', 'training/optimizers/optimizer.ts'],
];

/** Folders and commands that belong to segmentation or detection. */
const OF_NAMED_TASK =
  /^(tasks|models\/(dense|detection)|data\/(label-maps|objects|coco|formats))\/|-(segmentation|detection)\.ts$/;

/** Files of one model family or of one task, and readers of data formats. */
const OF_ONE_KIND = /^((models|tasks)\/(?!families\/)[^/]+|data\/formats)\//;

/** @param {string} folder  of the sources @returns {Figures} */
export function measureStructure(folder) {
  const texts = readSources(folder);
  const graph = importGraph(folder, texts);
  const names = exportedNames(texts);
  /** @param {RegExp} pattern @param {RegExp} [outside]  files that do not count */
  const naming = (pattern, outside) =>
    [...texts].filter(([file, text]) => !outside?.test(file) && pattern.test(text)).length;
  const matches = [...texts.values()].map((text) => text.match(/\brecipe\??: Recipe\b/g)?.length ?? 0);
  return {
    files: texts.size,
    exported_names: names.size,
    duplicate_names: [...names.values()].filter((count) => count > 1).length,
    mutual_folder_pairs: mutualPairs(graph).length,
    spine: new Set(SPINE.flatMap((stations) => pathThrough(graph, stations))).size,
    closure_of_run_phase: [...closure(graph, 'phase/run-phase.ts')].filter((file) => !OF_ONE_KIND.test(file))
      .length,
    files_naming_top1: naming(/top-?1/i),
    files_naming_vit: naming(/\bvit\b|ViT|models\/vit/, /^models\/vit\//),
    files_naming_task: naming(/\b(segmentation|detection)\b/i, OF_NAMED_TASK),
    recipe_parameters: matches.reduce((sum, count) => sum + count, 0),
  };
}

/** @param {string} folder @returns {Map<string, string>} text by path inside the folder, without tests */
function readSources(folder) {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.ts') && !file.endsWith('.test.ts')).sort();
  return new Map(sources.map((file) => [file, readFileSync(join(folder, file), 'utf8')]));
}

/** @param {string} folder @param {Map<string, string>} texts @returns {Graph} */
function importGraph(folder, texts) {
  const imports = [...texts].map(([file, text]) => {
    const names = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
    const found = names
      .filter((name) => name.startsWith('.'))
      .map((name) => relative(folder, resolve(folder, dirname(file), name.replace(/\.js$/, '.ts'))))
      .filter((name) => texts.has(name));
    return /** @type {[string, string[]]} */ ([file, [...new Set(found)]]);
  });
  return new Map(imports);
}

/**
 * Pairs of folders whose files import each other, sorted.
 * @param {Graph} graph
 * @returns {[string, string][]}
 */
export function mutualPairs(graph) {
  const edges = new Set();
  for (const [file, imports] of graph) {
    for (const target of imports) {
      const [from, to] = [dirname(file), dirname(target)];
      if (from !== to) edges.add(JSON.stringify([from, to]));
    }
  }
  return [...edges]
    .map((edge) => /** @type {[string, string]} */ (JSON.parse(edge)))
    .filter(([from, to]) => from < to && edges.has(JSON.stringify([to, from])))
    .sort();
}

/** @param {Graph} graph @param {string} start @returns {Set<string>} what a file imports, itself included */
export function closure(graph, start) {
  const seen = new Set([start]);
  for (const file of seen) for (const target of graph.get(file) ?? []) seen.add(target);
  return seen;
}

/**
 * The files on the shortest import paths from each station to the next.
 * @param {Graph} graph
 * @param {string[]} stations
 * @returns {string[]}
 * @throws Error if no path leads from one station to the next
 */
export function pathThrough(graph, stations) {
  return stations.slice(1).flatMap((station, i) => shortestPath(graph, stations[i] ?? '', station));
}

/** @param {Graph} graph @param {string} from @param {string} to @returns {string[]} */
function shortestPath(graph, from, to) {
  const paths = new Map([[from, [from]]]);
  for (const [file, path] of paths) {
    if (file === to) return path;
    for (const target of graph.get(file) ?? []) if (!paths.has(target)) paths.set(target, [...path, target]);
  }
  throw new Error(`no import path leads from ${from} to ${to}; correct SPINE in scripts/lib/structure.mjs`);
}

/**
 * In how many files each exported name is declared. Re-exports are left out.
 * @param {Map<string, string>} texts
 * @returns {Map<string, number>}
 */
export function exportedNames(texts) {
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const [file, text] of texts) {
    const { statements } = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
    const names = new Set(statements.filter(isExported).flatMap(declaredNames));
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** @param {ts.Statement} statement */
function isExported(statement) {
  if (!ts.canHaveModifiers(statement)) return false;
  return ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

/** @param {ts.Statement} statement @returns {string[]} */
function declaredNames(statement) {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name }) =>
      ts.isIdentifier(name) ? [name.text] : [],
    );
  }
  const { name } = /** @type {ts.DeclarationStatement} */ (statement);
  return name && ts.isIdentifier(name) ? [name.text] : [];
}
