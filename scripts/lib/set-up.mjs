import { mkdirSync } from 'node:fs';
import { ensureAddon, ensureFakeAccelerator } from './addon.mjs';
import { compileBenches } from './benches.mjs';
import { SetupError } from './failure.mjs';
import { ensureImages } from './images.mjs';
import { ensureLibtorch } from './libtorch.mjs';
import { ensurePackages } from './packages.mjs';
import { cacheRoot, root } from './paths.mjs';
import { createSteps } from './steps.mjs';
import { ensureBuild } from './typescript.mjs';

export const STEPS = ['packages', 'libtorch', 'addon', 'build', 'images'];
/** Additional steps for tests. */
export const TEST_STEPS = [...STEPS, 'fake-gpu', 'benches'];

/**
 * Makes a clone ready to use. Each step checks what exists, and does only what is missing.
 * @param {{ only?: string[], quiet?: boolean, env?: NodeJS.ProcessEnv }} [options]  `only`: some of TEST_STEPS
 * @returns {Promise<import('./libtorch.mjs').Libtorch | undefined>} the libtorch that the addon is built with, if `only` includes it
 */
export async function setUp({ only = STEPS, quiet = false, env = process.env } = {}) {
  if (process.platform !== 'linux') {
    throw new SetupError(`only Linux is supported, but this is ${process.platform}.`, {
      hint: 'Use a Linux machine, container or virtual machine.',
    });
  }
  const steps = createSteps({ quiet });
  const cache = cacheRoot(env);
  mkdirSync(cache, { recursive: true });
  const wants = (/** @type {string} */ name) => only.includes(name);

  if (wants('packages')) await steps.run('packages', (note) => ensurePackages({ root, env, note }), String);
  /** @type {import('./libtorch.mjs').Libtorch | undefined} */
  let libtorch;
  if (wants('libtorch') || wants('addon') || wants('fake-gpu')) {
    const found = await steps.run(
      'libtorch',
      (note) => ensureLibtorch({ env, cache, note }),
      ({ version, path }) => `${version} in ${path}`,
    );
    libtorch = found;
    if (wants('addon')) {
      await steps.run('addon', (note) => ensureAddon({ root, cache, env, libtorch: found, note }), String);
    }
    if (wants('fake-gpu')) {
      const options = { root, cache, env, libtorch: found };
      await steps.run('fake-gpu', (note) => ensureFakeAccelerator({ ...options, note }), String);
    }
  }
  if (wants('build')) await steps.run('build', () => ensureBuild({ root }), String);
  if (wants('benches')) await steps.run('benches', () => compileBenches().then(() => 'compiled'), String);
  if (wants('images')) {
    await steps.run(
      'images',
      (note) => ensureImages({ env, cache, note }),
      (path) => `Fashion-MNIST in ${path}`,
    );
  }
  steps.finish('set up');
  return libtorch;
}
