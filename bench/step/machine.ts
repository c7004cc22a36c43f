import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

const SHOWN_FLAGS = ['avx2', 'avx512f', 'avx512_bf16', 'avx512_vnni', 'amx_bf16'];

/** Properties of the machine and the set-up that affect the measurements. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly flags: readonly string[];
  readonly threads: number;
  readonly node: string;
  readonly ours: unknown;
  readonly pytorch: unknown;
  /** Whether the addon makes MKL use its AVX-512 path on a non-Intel processor (native/mkl.cc). */
  readonly mklAvx512: boolean;
}

export function machine(threads: number, engines: { ours: unknown; pytorch: unknown }): Machine {
  const info = readFileSync('/proc/cpuinfo', 'utf8');
  const flags = info.match(/^flags\s*:\s*(.*)$/m)?.[1].split(' ') ?? [];
  return {
    cpu: cpus()[0].model,
    cores: cpus().length,
    flags: SHOWN_FLAGS.filter((flag) => flags.includes(flag)),
    threads,
    node: process.version,
    mklAvx512: process.env.DEEP_INCUBATION_MKL_AVX512 !== '0' && flags.includes('avx512f'),
    ...engines,
  };
}
