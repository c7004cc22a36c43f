import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { capture } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { sha256 } from './paths.mjs';

/**
 * Compiles src/ to dist/ and builds the page of web/ to dist/web/ unless nothing changed since.
 * @param {{ root: string }} options
 * @returns {Promise<string>}
 */
export async function ensureBuild({ root }) {
  if (!existsSync(join(root, 'src'))) return 'already compiled'; // an installed package
  const stamp = join(root, 'dist/.stamp');
  const state = sourceState(root);
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return 'up to date';
  const result = await runTsc(root, ['-p', 'tsconfig.build.json']);
  if (result.code !== 0)
    throw new SetupError('the TypeScript sources failed to compile.', { details: result.output });
  const page = await runTool(root, 'vite/bin/vite.js', ['build', '--config', 'web/vite.config.ts']);
  if (page.code !== 0) throw new SetupError('the page in web/ failed to build.', { details: page.output });
  writeFileSync(stamp, state);
  return 'compiled';
}

/** @param {string} root @param {string[]} args */
export function runTsc(root, args) {
  return runTool(root, 'typescript/bin/tsc', args);
}

/** @param {string} root @param {string} script below node_modules @param {string[]} args */
function runTool(root, script, args) {
  return capture(process.execPath, [join(root, 'node_modules', script), ...args], { cwd: root });
}

/** A hash over the names, sizes and times of all that the build reads. @param {string} root */
function sourceState(root) {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => join('src', name));
  const page = readdirSync(join(root, 'web'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package.json', 'package-lock.json'];
  const lines = [...sources, ...page, ...settings].sort().map((name) => {
    const { size, mtimeMs } = statSync(join(root, name));
    return `${name} ${size} ${mtimeMs}\n`;
  });
  return sha256(...lines);
}
