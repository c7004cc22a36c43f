#!/usr/bin/env node
/**
 * Packs into .gpu/ the files that a GPU machine needs, so that bench/gpu/run works there offline: Node, the packages, the compiled
 * code, and the addon built for that machine's CUDA libtorch. See bench/gpu/README.md.
 *
 *   npm run gpu:pack [-- --load]    --load: fetches NVIDIA's libraries too (3.7 GB), and loads the addon once, on the CPU
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compileBenches } from './lib/benches.mjs';
import { main, SetupError } from './lib/failure.mjs';
import { buildForTarget } from './lib/gpu-addon.mjs';
import { packFolder, packNode, packPackages } from './lib/gpu-archives.mjs';
import { ensureTarget, TARGET } from './lib/gpu-target.mjs';
import { cacheRoot, root, sha256 } from './lib/paths.mjs';
import { setUp } from './lib/set-up.mjs';
import { createSteps } from './lib/steps.mjs';

const OUT = join(root, '.gpu');
const MOST_MIB = 50;

const RUN = `#!/usr/bin/env bash
exec bash "$(dirname "\${BASH_SOURCE[0]}")/../bench/gpu/run" "$@"
`;

await main(async () => {
  const { values } = parseArgs({ options: { load: { type: 'boolean', default: false } } });
  await setUp({ only: ['packages', 'build'], quiet: true });
  const steps = createSteps();
  const cache = join(cacheRoot(process.env), 'gpu-kit');
  mkdirSync(cache, { recursive: true });
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(join(OUT, 'addon'), { recursive: true });

  const libtorch = await steps.run(
    'libtorch',
    (note) => ensureTarget({ cache, env: process.env, note, withLibraries: values.load }),
    ({ version, path }) => `${version} in ${path}`,
  );
  await steps.run('benches', () => compileBenches());
  // Compression uses one core, the compiler another.
  const node = packNode({ cache, to: join(OUT, 'node.xz') });
  await steps.run(
    'addon',
    (note) => buildForTarget({ root, cache, libtorch, to: join(OUT, 'addon'), canLoad: values.load, note }),
    String,
  );
  await steps.run(
    'packages',
    () => packPackages({ root, cache, to: join(OUT, 'node_modules.tar.xz') }),
    String,
  );
  await steps.run('code', async () => {
    for (const name of ['dist', 'dist-bench'])
      await packFolder({ root, name, to: join(OUT, `${name}.tar.xz`) });
  });
  await steps.run('Node', () => node, String);
  writeFileSync(join(OUT, 'run'), RUN);
  chmodSync(join(OUT, 'run'), 0o755);
  writeFileSync(join(OUT, 'stamp'), stampOf(OUT));
  printSizes();
  steps.finish(`packed .gpu for libtorch ${TARGET.version}`);
  return 0;
});

/** A digest of the packed files, so that the machine unpacks them only once. @param {string} folder */
function stampOf(folder) {
  return sha256(...filesIn(folder).map((name) => readFileSync(join(folder, name)))).slice(0, 16);
}

/** @param {string} folder */
function filesIn(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return files.map((file) => file.slice(folder.length + 1)).sort();
}

function printSizes() {
  const sizes = filesIn(OUT).map((name) => ({ name, mib: statSync(join(OUT, name)).size / 2 ** 20 }));
  for (const { name, mib } of sizes) process.stdout.write(`${mib.toFixed(2).padStart(8)} MiB  ${name}\n`);
  const total = sizes.reduce((sum, { mib }) => sum + mib, 0);
  process.stdout.write(`${total.toFixed(2).padStart(8)} MiB  total\n`);
  if (total <= MOST_MIB) return;
  throw new SetupError(`.gpu is ${total.toFixed(1)} MiB, more than the limit of ${MOST_MIB} MiB.`);
}
