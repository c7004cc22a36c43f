import { availableParallelism } from 'node:os';
import { native } from '../../src/torch/native.js';
import { cli } from './cli.js';
import { report } from './report.js';

const SECTION = 'identify';

/** Reports the addon's information about the engine, and the output of `doctor`. */
export async function identify(): Promise<void> {
  report({
    section: SECTION,
    check: 'engine',
    ok: true,
    node: process.version,
    cores: availableParallelism(),
    engine: native.engine(),
    collectives: native.collectives(),
    jpeg: native.jpegDecoder(),
  });
  const { status, stdout, text } = cli(['doctor', '--json'], { timeoutMs: 60_000 });
  report({
    section: SECTION,
    check: 'doctor',
    ok: status === 0,
    ...(status === 0 ? partOf(JSON.parse(stdout)) : { text }),
  });
}

function partOf({ gpus, driver, libtorch, devices, problems }: Record<string, unknown>) {
  return { gpus, driver, libtorch, devices, problems };
}
