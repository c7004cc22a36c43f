import { join } from 'node:path';
import { capture } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { root } from './paths.mjs';
import { createSteps } from './steps.mjs';

/** @type {{ name: string, command: string[] }[]} */
const CHECKS = [
  { name: 'types', command: ['tsc', '--noEmit'] },
  { name: 'browser example', command: ['tsc', '-p', 'examples/browser/tsconfig.json', '--noEmit'] },
  { name: 'page types', command: ['tsc', '-p', 'web/tsconfig.json'] },
  { name: 'script types', command: ['tsc', '-p', 'scripts/tsconfig.json'] },
  { name: 'style', command: ['biome', 'ci', '--colors=off', '.'] },
  { name: 'layers', command: ['depcruise', 'src', '--config', '.dependency-cruiser.cjs'] },
  { name: 'dead code', command: ['knip'] },
  { name: 'examples', command: ['tsc', '-p', 'tsconfig.examples.json', '--noEmit'] },
  { name: 'docs', command: ['typedoc', '--emit', 'none'] },
];

/** Runs the static checks; throws at the first that fails. */
export async function runChecks() {
  const steps = createSteps();
  for (const { name, command } of CHECKS) await steps.run(name, () => runCheck(name, command));
  await steps.run('structure', checkStructure);
}

/** @param {string} name @param {string[]} command */
async function runCheck(name, [tool = '', ...args]) {
  const result = await capture(join(root, 'node_modules/.bin', tool), args, { cwd: root });
  if (result.code === 0) return;
  throw new SetupError(`${name}: \`npx ${[tool, ...args].join(' ')}\` failed.`, { details: result.output });
}

async function checkStructure() {
  const result = await capture(process.execPath, ['scripts/structure.mjs'], { cwd: root });
  if (result.code === 0) return;
  throw new SetupError('structure: a figure is above its limit.', {
    details: result.output,
    hint: 'Fix the import or the name that raised it. A limit in scripts/structure.json may rise only for a new part; say so in the commit.',
  });
}
