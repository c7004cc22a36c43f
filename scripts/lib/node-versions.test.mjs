import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ensureNode, NODE_TESTS, NODE_VERSIONS, otherNodes } from './node-versions.mjs';
import { root } from './paths.mjs';
import { pathOf, silent, temporaryFolder } from './testing.mjs';

const NAME = `node-${process.platform}-${process.arch}`;
/** An npm that puts a Node where the package would. */
const INSTALL = `for a; do [ "$previous" = --prefix ] && prefix=$a; last=$a; previous=$a; done
/bin/mkdir -p "$prefix/node_modules/${NAME}/bin"
echo "$last" > "$prefix/node_modules/${NAME}/bin/node"`;

/** @param {string | undefined} npm @param {{ provide?: boolean, cache?: string }} [options] */
function node(npm, { provide = true, cache = temporaryFolder() } = {}) {
  const env = { PATH: npm === undefined ? '' : pathOf({ npm }) };
  return ensureNode({ version: '22', env, cache, provide, note: silent });
}

it('leaves out the running major version', () => {
  expect(otherNodes('20.20.2')).toEqual(['22', '24']);
  expect(otherNodes('24.1.0')).toEqual(['20.19', '22']);
  expect(otherNodes('26.0.0')).toEqual(['20.19', '22', '24']);
});

it('covers the oldest Node that package.json allows', () => {
  const { engines } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  expect(engines.node).toBe(`>=${NODE_VERSIONS[20]}`);
});

it('names tests that exist', () => {
  const files = ['src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => join(folder, file)),
  );
  for (const filter of NODE_TESTS) expect(files.some((file) => file.startsWith(filter))).toBe(true);
});

it('fetches a Node with npm into the cache, once', async () => {
  const cache = temporaryFolder();
  const found = await node(INSTALL, { cache });
  if (!('node' in found)) throw new Error(found.missing);
  expect(readFileSync(found.node, 'utf8')).toBe(`${NAME}@22\n`);
  expect(await node('exit 1', { cache })).toEqual(found);
});

it('says why it is missing, and leaves nothing behind', async () => {
  const cache = temporaryFolder();
  const offline = 'echo "npm error code ENOTFOUND" >&2; exit 1';
  expect(await node(offline, { cache })).toEqual({ missing: 'Node 22 not found: npm error code ENOTFOUND' });
  expect(existsSync(join(cache, 'node-22'))).toBe(false);
  expect(await node(INSTALL, { provide: false })).toEqual({ missing: 'Node 22 not found (--no-install)' });
  expect(await node(undefined)).toEqual({ missing: 'Node 22 not found, and no npm to install it' });
});
