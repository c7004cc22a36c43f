import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture, firstOnPath } from './exec.mjs';
import { SetupError } from './failure.mjs';
import { sha256 } from './paths.mjs';
import { verifyWheel } from './pins.mjs';

const EXTRACT = `
import pathlib, re, sys, zipfile
wheels, folder, pattern = sys.argv[1:]
for wheel in sorted(pathlib.Path(wheels).glob('*.whl')):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder, [n for n in archive.namelist() if re.match(pattern, n) and not n.endswith('/')])
`;

/**
 * pip's flags for Linux wheels of another machine, with a glibc of 2.28 or newer.
 * @param {{ python: string, machine: string }} target  machine: x86_64 or aarch64
 */
export function flagsForTarget({ python, machine }) {
  const glibc = Array.from({ length: 24 }, (_, i) => `manylinux_2_${28 - i}_${machine}`);
  const platforms = [
    ...glibc,
    `manylinux2014_${machine}`,
    `manylinux2010_${machine}`,
    `manylinux1_${machine}`,
  ];
  return [
    ...['--only-binary=:all:', '--python-version', python, '--implementation', 'cp'],
    ...['--abi', `cp${python.replace('.', '')}`, '--abi', 'none'],
    ...platforms.flatMap((platform) => ['--platform', platform]),
  ];
}

/**
 * Unpacks into a folder those files of some wheels whose paths begin with a pattern, once.
 * Each wheel is compared with its pinned hash first.
 * @param {object} options
 * @param {string} options.folder
 * @param {string} options.pattern       of Python's re
 * @param {string[]} options.requirements
 * @param {string} options.python        version that the wheels are for
 * @param {import('./pins.mjs').Pins} options.pins
 * @param {NodeJS.ProcessEnv} options.env
 * @param {import('./steps.mjs').Note} options.note
 */
export async function fetchWheels({ folder, pattern, requirements, python, pins, env, note }) {
  const done = join(folder, `.has-${sha256(JSON.stringify([pattern, requirements])).slice(0, 12)}`);
  if (existsSync(done)) return;
  const program = firstOnPath(['python3', 'python'], env);
  if (!program) throw new SetupError('Python, whose pip downloads wheels, was not found on the PATH.');
  note(`pip download ${requirements.join(' ')}`);
  mkdirSync(folder, { recursive: true });
  const wheels = mkdtempSync(join(folder, '.wheels-'));
  try {
    const download = await capture(
      program,
      [
        ...['-m', 'pip', 'download', '--quiet', '--no-input', '--no-deps'],
        ...flagsForTarget({ python, machine: 'x86_64' }),
        ...['--dest', wheels, ...requirements],
      ],
      { env: { ...env, PIP_DISABLE_PIP_VERSION_CHECK: '1' } },
    );
    if (download.code !== 0) {
      throw new SetupError(`pip could not download ${requirements[0]}.`, {
        details: download.output.slice(-2000),
      });
    }
    for (const name of readdirSync(wheels)) await verifyWheel(join(wheels, name), pins);
    const extracted = await capture(program, ['-c', EXTRACT, wheels, folder, pattern]);
    if (extracted.code !== 0) {
      throw new SetupError(`wheels could not be unpacked into ${folder}.`, { details: extracted.output });
    }
    writeFileSync(done, '');
  } finally {
    rmSync(wheels, { recursive: true, force: true });
  }
}
