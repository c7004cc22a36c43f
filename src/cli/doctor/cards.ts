import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bytes } from '../../report/format.js';
import { gpusOfDriver } from '../../torch/gpu-count.js';
import type { Findings } from './findings.js';

interface Card {
  readonly name: string;
  readonly memory_bytes: number | null;
  readonly driver: string | null;
}

const QUERY = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader,nounits'];
const PATIENCE_MS = 20_000;

/**
 * The NVIDIA cards of this machine and their driver, whether or not libtorch can use them.
 * @param places for tests: folders of the device files and the driver files
 */
export async function findCards(places: { devices?: string; driver?: string } = {}): Promise<Findings> {
  const { devices = '/dev', driver: driverFiles = '/proc/driver/nvidia' } = places;
  const count = gpusOfDriver({}, devices);
  const cards = count === 0 ? [] : ((await ofTool()) ?? ofDriverFiles(driverFiles));
  const driver = cards[0]?.driver ?? null;
  const lines = cards.map(({ name, memory_bytes }): [string, string] => [
    'GPU',
    memory_bytes === null ? name : `${name}, ${bytes(memory_bytes)}`,
  ]);
  return {
    facts: { gpus: cards.map(({ name, memory_bytes }) => ({ name, memory_bytes })), driver },
    lines: cards.length === 0 ? [['GPU', 'none']] : [...lines, ['driver', driver ?? 'unknown']],
    problems: [],
  };
}

/** The cards that nvidia-smi lists; undefined if it cannot be run. */
async function ofTool(): Promise<Card[] | undefined> {
  try {
    const { stdout } = await promisify(execFile)('nvidia-smi', QUERY, { timeout: PATIENCE_MS });
    return stdout
      .trim()
      .split('\n')
      .map((line) => {
        const [name = 'unknown', mebibytes, driver] = line.split(',').map((field) => field.trim());
        const memory = Number(mebibytes);
        return {
          name,
          memory_bytes: Number.isFinite(memory) ? memory * 2 ** 20 : null,
          driver: driver ?? null,
        };
      });
  } catch {
    return undefined;
  }
}

/** For machines without nvidia-smi, such as many containers: names and driver, but no memory sizes. */
function ofDriverFiles(folder: string): Card[] {
  const read = (...names: string[]) => {
    const file = join(folder, ...names);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  const driver = /Kernel Module.*?\s(\d+(?:\.\d+)+)\s/.exec(read('version'))?.[1] ?? null;
  const cards = existsSync(join(folder, 'gpus')) ? readdirSync(join(folder, 'gpus')).sort() : [];
  return cards.map((name) => ({
    name: /^Model:\s*(.+)$/m.exec(read('gpus', name, 'information'))?.[1] ?? 'unknown',
    memory_bytes: null,
    driver,
  }));
}
