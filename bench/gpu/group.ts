import { freePort } from '../../src/launch/processes/ranks.js';
import { joinCollective } from '../../src/torch/collective.js';
import { useDevice } from '../../src/torch/engine.js';
import { ones } from '../../src/torch/ops.js';
import { scope } from '../../src/torch/scope.js';
import { apart } from './compare.js';
import { check } from './report.js';
import { knownDevice } from './settings.js';

/** Tests NCCL (on the CPU, Gloo) in a group that consists of this process only. */
export async function group(): Promise<void> {
  const device = knownDevice;
  await check({ section: 'group', check: `a group of one on ${device}`, limit: 0 }, async () => {
    useDevice(device);
    const joined = joinCollective({
      name: 'kit',
      host: '127.0.0.1',
      port: await freePort(),
      serves: true,
      rank: 0,
      size: 1,
      timeoutMs: 20_000,
      device,
    });
    const value = scope(() => {
      const x = ones([1000], 'F32', device);
      joined.allReduce([x]);
      joined.broadcast([x], 0);
      joined.barrier();
      return apart(x.toFloat32Array(), new Float32Array(1000).fill(1));
    });
    joined.free();
    return { value };
  });
}
