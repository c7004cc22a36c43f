import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { promisify } from 'node:util';
import { errorText } from '../../base/errors.js';
import { noGrad } from '../../torch/autograd.js';
import { engineInfo, setThreads } from '../../torch/engine.js';
import { linear, ones } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Findings } from './findings.js';

const SWITCH = 'DEEP_INCUBATION_MKL_AVX512';

/** The same instruction sets as in native/mkl.cc. */
const NEEDED = ['avx512f', 'avx512dq', 'avx512bw', 'avx512vl'];

/**
 * Measures whether the addon's answer to MKL, "use AVX-512", is faster on this processor. Runs a matrix product of ViT-Ti size on
 * one thread, here and in a process that leaves the choice to MKL.
 */
export async function findAvx512(): Promise<Findings> {
  const { vendor, flags } = processor();
  const instructions = NEEDED.every((flag) => flags.has(flag));
  const facts = { vendor, instructions, switched_off: process.env[SWITCH] === '0' };
  const found = (text: string, more: object = {}): Findings => ({
    facts: { mkl_avx512: { ...facts, ...more } },
    lines: [['AVX-512', text]],
    problems: [],
  });
  if (!instructions) return found('not supported by this processor');
  if (facts.switched_off) return found(`supported by this processor; not changed in MKL (${SWITCH}=0)`);
  if (vendor === 'GenuineIntel') return found('supported by this processor; MKL uses it by default');
  try {
    const [used, left] = [timeHere(), await timeByDefault()];
    const speedup = left / used;
    const times = `${used.toFixed(2)} ms, and ${left.toFixed(2)} ms with MKL's default`;
    // On a busy machine, timings also depend on the other processes.
    const isBusy = loadavg()[0] > availableParallelism();
    const doubt = isBusy ? '; the machine is busy: measure again' : '';
    const finding = found(`used in MKL: ${times} (${speedup.toFixed(2)} x)${doubt}`, {
      milliseconds: used,
      milliseconds_without: left,
      speedup,
    });
    if (isBusy || speedup > NOISE) return finding;
    const problem = {
      what: `MKL is slower with AVX-512 here: ${times}`,
      hint: `set ${SWITCH}=0`,
      blocking: false,
    };
    return { ...finding, problems: [problem] };
  } catch (error) {
    return found(`supported by this processor; could not be measured: ${errorText(error)}`);
  }
}

/** Two timings of the same work may differ by this factor. */
const NOISE = 0.9;

function timeHere(): number {
  const { threads } = engineInfo();
  setThreads(1);
  try {
    return timeProduct();
  } finally {
    setThreads(threads);
  }
}

/**
 * Like `timeProduct`, in a process of its own that leaves the choice of instructions to MKL.
 * @public for the test
 */
export async function timeByDefault(): Promise<number> {
  const script = `import { timeProduct } from ${JSON.stringify(import.meta.url)}; console.log(timeProduct())`;
  const env = { ...process.env, [SWITCH]: '0', OMP_NUM_THREADS: '1' };
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    env,
  });
  return Number(stdout);
}

/** The first processor in /proc/cpuinfo. */
function processor(): { vendor: string | null; flags: ReadonlySet<string> } {
  const path = '/proc/cpuinfo';
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  return {
    vendor: /^vendor_id\s*: (.*)$/m.exec(text)?.[1] ?? null,
    flags: new Set(/^flags\s*: (.*)$/m.exec(text)?.[1].split(' ')),
  };
}

/** 64 images of 65 tokens in the first MLP layer of a ViT-Ti. */
const [ROWS, WIDTH, HIDDEN] = [4160, 192, 768];
const BUDGET_MS = 100;

/**
 * The minimum time of the product in milliseconds, measured for a tenth of a second.
 * @public for the process that `timeByDefault` starts
 */
export function timeProduct(): number {
  return scope(() =>
    noGrad(() => {
      const [x, weight, bias] = [ones([ROWS, WIDTH]), ones([HIDDEN, WIDTH]), ones([HIDDEN])];
      const once = () => {
        const started = performance.now();
        scope(() => void linear(x, weight, bias));
        return performance.now() - started;
      };
      once();
      let least = Number.POSITIVE_INFINITY;
      for (const end = performance.now() + BUDGET_MS; performance.now() < end; )
        least = Math.min(least, once());
      return least;
    }),
  );
}
