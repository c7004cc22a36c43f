import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { SetupError } from './failure.mjs';

/** @typedef {Record<string, string>} Pins  the SHA-256 of each allowed wheel, by file name */

export const PINS_FILE = new URL('./wheel-pins.json', import.meta.url);

/**
 * Wheels that may be installed or unpacked. `npm run pin-wheels` writes them.
 * @returns {{ libtorch: Pins, nvidia: Pins, gpuKit: Pins }}
 */
export function readPins() {
  return JSON.parse(readFileSync(PINS_FILE, 'utf8'));
}

/**
 * @param {string} file
 * @param {Pins} pins
 * @throws {SetupError} if the wheel has no pin or another hash
 */
export async function verifyWheel(file, pins) {
  const name = basename(file);
  const expected = pins[name];
  if (expected === undefined) {
    throw new SetupError(`${name} has no pinned SHA-256, so it was not installed.`, {
      hint: `Pinned: ${Object.keys(pins).join(', ')}. To use another build, unpack it yourself and set LIBTORCH to its folder.`,
    });
  }
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  const got = hash.digest('hex');
  if (got === expected) return;
  throw new SetupError(
    `${name} does not match its pinned SHA-256 and was not installed: expected ${expected}, got ${got}.`,
    {
      hint: 'The file is damaged or was changed. Run `pip cache purge`, check `pip config list`, then run the set-up again.',
    },
  );
}

/**
 * The exact requirements, such as `nvidia-cublas==13.1.1.3`, of those pinned wheels that run on a processor.
 * @param {Pins} pins
 * @param {string} arch  in Node's terms: x64 or arm64
 */
export function requirementsOf(pins, arch) {
  const machine = arch === 'arm64' ? 'aarch64' : 'x86_64';
  const wheels = Object.keys(pins).filter(
    (name) => name.endsWith(`_${machine}.whl`) || name.endsWith('-any.whl'),
  );
  return wheels.map((name) => {
    const [distribution = '', version = ''] = name.split('-');
    return `${distribution.replaceAll('_', '-')}==${version}`;
  });
}
