import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../../scripts/setup.mjs', import.meta.url));

/** `setup`: runs the set-up script in a separate process, and exits with its exit status. */
export async function setup(options: { readonly only?: string; readonly quiet?: true }): Promise<void> {
  const { only, quiet } = options;
  const args = [...(only === undefined ? [] : ['--only', only]), ...(quiet ? ['--quiet'] : [])];
  const child = spawn(process.execPath, [SCRIPT, ...args], { stdio: 'inherit' });
  const [code] = await once(child, 'close');
  process.exitCode = code ?? 1;
}
