import { describe, expect, it } from 'vitest';
import { ensureSystemPackages, SYSTEM_PACKAGES } from './system-packages.mjs';
import { pathOf } from './testing.mjs';

/** @type {import('./system-packages.mjs').SystemPackage[]} */
const TABLE = [
  {
    name: 'Browser',
    signs: ['firefox', 'chromium'],
    enough: 'any',
    packages: ['chromium'],
    uses: 'tests of pages',
  },
  {
    name: 'Queue',
    signs: ['queued', 'submit'],
    enough: 'all',
    packages: ['queue', 'key'],
    uses: 'tests of jobs',
  },
  { name: 'header', signs: ['/dev/null'], enough: 'any', packages: ['header-dev'], uses: 'tests of it' },
];
const COMMAND = 'apt-get install chromium queue key';

/** @param {Record<string, string>} programs @param {{ uid?: number, install?: boolean }} [options] */
async function ensure(programs, { uid = 0, install = true } = {}) {
  const bin = pathOf(programs);
  /** @type {string[]} */
  const notes = [];
  const note = (/** @type {string} */ text) => notes.push(text);
  const env = { PATH: bin };
  return {
    result: await ensureSystemPackages({ env, install, note, table: TABLE, uid, daemons: bin }),
    notes,
  };
}

/** A script that creates programs in its own folder. @param {string[]} names */
const make = (names) =>
  names.map((name) => `echo > "\${0%/*}/${name}"; /bin/chmod 755 "\${0%/*}/${name}"`).join('\n');
const MUST_NOT_RUN = 'exit 99';

describe('ensureSystemPackages', () => {
  it('installs nothing if everything is found', async () => {
    const { result, notes } = await ensure({ chromium: '', queued: '', submit: '', 'apt-get': MUST_NOT_RUN });
    expect(result).toBe('Browser, Queue, header found');
    expect(notes).toEqual([]);
  });

  it('treats half of what is needed as missing', async () => {
    const { result } = await ensure({ firefox: '', queued: '', 'apt-get': 'exit 1' });
    expect(result).toMatch(/^could not be installed: Queue;/);
  });

  it.each([
    ['unless it may', { install: false }, '`npm test -- --install` or '],
    ['as another user than root', { uid: 1000 }, ''],
  ])('installs nothing %s, and names the command', async (_, options, other) => {
    const { result, notes } = await ensure({ 'apt-get': make(['chromium', 'queued', 'submit']) }, options);
    expect(result).toContain(
      `not found: Browser, Queue; their tests are skipped; run ${other}\`${COMMAND}\` `,
    );
    expect(notes).toEqual([]);
  });

  it('says that there is no apt-get', async () => {
    expect((await ensure({})).result).toContain('no apt-get');
  });

  it('says in advance what it installs, why, and how to prevent it; updates missing package lists', async () => {
    const script = `case "$1" in
update) echo > "\${0%/*}/updated"; exit 0;;
esac
[ -e "\${0%/*}/updated" ] || exit 100
${make(['chromium', 'queued', 'submit'])}`;
    const { result, notes } = await ensure({ 'apt-get': script });
    expect(result).toBe('installed: Browser, Queue');
    expect(notes).toEqual([
      'Browser: for tests of pages',
      'Queue: for tests of jobs',
      `installing system packages: ${COMMAND} (--no-install prevents this)`,
    ]);
  });

  it('a failure of apt-get is not an error: the last line of its output is shown', async () => {
    const { result } = await ensure({ 'apt-get': 'echo "E: no route to host"; exit 100' });
    expect(result).toMatch(/^could not be installed: Browser, Queue; .* skipped: E: no route to host$/);
  });

  it('names what apt-get reported as installed but is missing', async () => {
    const { result } = await ensure({ 'apt-get': make(['chromium', 'queued']) });
    expect(result).toMatch(/^could not be installed: Queue;/);
  });
});

it('every entry has packages, signs and a use', () => {
  expect(SYSTEM_PACKAGES.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['Chromium', 'Slurm', 'iproute2']),
  );
  for (const { packages, signs, uses } of SYSTEM_PACKAGES) {
    expect(packages.length * signs.length * uses.length).toBeGreaterThan(0);
  }
});
