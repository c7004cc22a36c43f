import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ensureSlurm } from './slurm.mjs';

/** @type {string} */
let bin;
beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'slurm-setup-'));
});
afterEach(() => rmSync(bin, { recursive: true }));

/** @param {string} name @param {string} body */
function program(name, body) {
  writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(bin, name), 0o755);
}

/** Daemons of the machine itself are not to be found here. @param {number} uid */
async function ensure(uid) {
  /** @type {string[]} */
  const notes = [];
  const said = await ensureSlurm({ env: { PATH: bin }, note: (text) => notes.push(text), uid, daemons: bin });
  return { said, notes };
}

test('found: nothing is installed', async () => {
  for (const name of ['munged', 'slurmctld', 'sbatch']) program(name, '');
  expect(await ensure(0)).toEqual({ said: 'found', notes: [] });
});

test('not root: nothing is tried', async () => {
  program('apt-get', '');
  expect(await ensure(1000)).toMatchObject({ said: expect.stringContaining('only root'), notes: [] });
});

test('no apt-get', async () => {
  expect((await ensure(0)).said).toContain('no apt-get');
});

test('apt-get fails: no failure, and its last words are told', async () => {
  program('apt-get', 'echo "E: no route to host"; exit 100');
  expect((await ensure(0)).said).toMatch(/skipped: E: no route to host$/);
});

test('installed, after an update', async () => {
  const made = ['munged', 'slurmctld', 'sbatch'].map(
    (name) => `printf '#!/bin/sh\\n' > ${bin}/${name}; /bin/chmod 755 ${bin}/${name}`,
  );
  program(
    'apt-get',
    `if [ "$1" = update ]; then echo > ${bin}/updated; exit 0; fi
[ -e ${bin}/updated ] || exit 100
${made.join('\n')}`,
  );
  expect((await ensure(0)).said).toBe('installed');
});
