import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { findCards } from './cards.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cards-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** A machine with these device files, and an nvidia-smi that prints this. */
function machine(files: string[], tool: string) {
  for (const name of files) writeFileSync(join(folder, name), '');
  const program = join(folder, 'nvidia-smi');
  writeFileSync(program, `#!/bin/sh\n${tool}\n`);
  chmodSync(program, 0o755);
  vi.stubEnv('PATH', `${folder}:/bin:/usr/bin`);
  return { devices: folder, driver: join(folder, 'proc') };
}

test('cards, their memory and the driver, as nvidia-smi names them', async () => {
  const places = machine(
    ['nvidia0', 'nvidia1', 'nvidiactl'],
    'echo "NVIDIA H100 80GB HBM3, 81559, 570.86.10"; echo "NVIDIA H100 MIG, [N/A], 570.86.10"',
  );
  const { facts, lines } = await findCards(places);
  expect(facts).toEqual({
    gpus: [
      { name: 'NVIDIA H100 80GB HBM3', memory_bytes: 81559 * 2 ** 20 },
      { name: 'NVIDIA H100 MIG', memory_bytes: null },
    ],
    driver: '570.86.10',
  });
  expect(lines).toEqual([
    ['GPU', expect.stringMatching(/^NVIDIA H100 80GB HBM3, [\d.]+ G/)],
    ['GPU', 'NVIDIA H100 MIG'],
    ['driver', '570.86.10'],
  ]);
});

test("without a working nvidia-smi, what the driver's own files say", async () => {
  const places = machine(['nvidia0'], 'exit 9');
  mkdirSync(join(places.driver, 'gpus/0000:01:00.0'), { recursive: true });
  writeFileSync(
    join(places.driver, 'version'),
    'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\nGCC version: 12.2.0\n',
  );
  writeFileSync(join(places.driver, 'gpus/0000:01:00.0/information'), 'Model: \t\t NVIDIA L4\nIRQ: 11\n');
  expect(await findCards(places)).toMatchObject({
    facts: { gpus: [{ name: 'NVIDIA L4', memory_bytes: null }], driver: '580.95.05' },
    lines: [
      ['GPU', 'NVIDIA L4'],
      ['driver', '580.95.05'],
    ],
  });
});

test('without a device file of a card, nvidia-smi is not run', async () => {
  const places = machine(['null'], `touch ${join(folder, 'was-run')}; echo "NVIDIA L4, 1, 2"`);
  const { facts, lines } = await findCards(places);
  expect({ facts, lines }).toEqual({ facts: { gpus: [], driver: null }, lines: [['GPU', 'none']] });
  expect(existsSync(join(folder, 'was-run'))).toBe(false);
});
