import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../../src/launch/processes/ranks.js';

const worker = fileURLToPath(new URL('link-worker.js', import.meta.url));

/** Bandwidth of gradient exchange between two single-threaded processes on this machine, in bytes per second. */
export async function linkBandwidth(): Promise<number> {
  const launched = {
    ...process.env,
    OMP_NUM_THREADS: '1',
    WORLD_SIZE: '2',
    MASTER_ADDR: '127.0.0.1',
    MASTER_PORT: String(await freePort()),
  };
  const [{ stdout }] = await Promise.all(
    ['0', '1'].map((rank) =>
      promisify(execFile)(process.execPath, [worker], {
        env: { ...launched, RANK: rank, LOCAL_RANK: rank },
      }),
    ),
  );
  return Number(stdout);
}
