/**
 * Compares our training step with PyTorch eager and torch.compile on the same libtorch.
 *
 *   npm run bench -- step [--quick] [--only deit,MT/1] [--precision float32] [--threads N] [--rounds N]
 *                         [--without compile,compile-best] [--cpu]
 *
 * Long-lived processes take turns on the same weights and batch; the first losses must agree. `--quick` runs only E2E and MT/1 in
 * float32, without torch.compile. `--cpu` compares processor time instead of elapsed time; use it with one thread on shared
 * machines. Writes bench/results/step.json and step.md.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DeepIncubationError, errorText, InputError } from '../src/base/errors.js';
import { allCases, type Case, sizes } from './step/cases.js';
import { machine } from './step/machine.js';
import { measure, type Result } from './step/measure.js';
import { benchPython, cacheRoot } from './step/python.js';
import { resultTable } from './step/table.js';
import { VARIANTS } from './step/variants.js';
import { startWorker } from './step/worker.js';
import { writeResults } from './write-results.js';

// The compiled file is in dist-bench/bench/; the Python code is in bench/.
const benchFolder = fileURLToPath(new URL('../../bench/', import.meta.url));
const OURS = 'ours';
const UNDECAYED = ['pos_embed', 'cls_token'];

const OPTIONS = {
  quick: { type: 'boolean', default: false },
  only: { type: 'string', default: '' },
  precision: { type: 'string', default: '' },
  without: { type: 'string', default: '' },
  threads: { type: 'string', default: String(availableParallelism()) },
  rounds: { type: 'string' },
  steps: { type: 'string', default: '2' },
  cpu: { type: 'boolean', default: false },
} as const;

const flags = readFlags();

async function main(): Promise<void> {
  const cases = allCases().filter(isWanted);
  if (cases.length === 0)
    throw new InputError(`--only ${flags.only} --precision ${flags.precision} leaves no case`);
  const without = list(flags.without);
  const variants = VARIANTS.filter(
    ({ name, settings }) => !without.includes(name) && !(flags.quick && settings.compile),
  );
  const python = benchPython(process.env);
  const env = {
    ...process.env,
    OMP_NUM_THREADS: flags.threads,
    TORCHINDUCTOR_CACHE_DIR: join(cacheRoot(process.env), 'bench-inductor'),
  };
  const folder = mkdtempSync(join(tmpdir(), 'bench-step-'));
  const ours = startWorker(
    OURS,
    process.execPath,
    [fileURLToPath(new URL('step/ours-worker.js', import.meta.url))],
    env,
  );
  const others = variants.map(({ name, settings }) =>
    startWorker(name, python, [join(benchFolder, 'pytorch/worker.py'), JSON.stringify(settings)], env),
  );
  try {
    const engines = {
      ours: await ours.ask({ cmd: 'engine' }),
      pytorch: await others[0]?.ask({ cmd: 'engine' }),
    };
    const results: Result[] = [];
    for (const what of cases) {
      process.stderr.write(`${what.size} ${what.phase} ${what.precision}\n`);
      results.push(
        await measure(
          what,
          ours,
          others.filter((_, i) => variants[i].applies(what)),
          {
            rounds: Number(flags.rounds ?? (flags.quick ? 3 : 7)),
            stepsARound: Number(flags.steps),
            clock: flags.cpu ? 'cpuMs' : 'ms',
            folder,
            undecayed: UNDECAYED,
          },
        ),
      );
      report(results, machine(Number(flags.threads), engines));
    }
  } finally {
    for (const worker of [ours, ...others]) worker.end();
    rmSync(folder, { recursive: true });
  }

  function report(results: readonly Result[], on: ReturnType<typeof machine>): void {
    const names = variants.map(({ name }) => name);
    const legend = [
      `Milliseconds${flags.cpu ? ' of processor time' : ''} of a training step, medians; ratios above 1: ours is faster (median and range of the rounds).`,
      '',
      ...variants.map(({ name, about }) => `- ${name}: ${about}`),
      ...[...sizes].map(([name, about]) => `- ${name}: ${about}`),
      '',
      `On ${on.cpu}, ${on.threads} of ${on.cores} cores (${on.flags.join(' ')}); MKL's AVX-512 path for ours ${on.mklAvx512 ? 'on' : 'off'}.`,
      `Ours ${JSON.stringify(on.ours)}; PyTorch ${JSON.stringify(on.pytorch)}.`,
    ];
    const text = resultTable(results, OURS, names);
    writeResults('step', `${text}\n\n${legend.join('\n')}\n`, { machine: on, results });
    if (results.length === cases.length) process.stdout.write(`${text}\n`);
  }
}

/** `--only` selects sizes and phases; if no size (or phase) is given, all of them are selected. */
function isWanted(what: Case): boolean {
  const only = list(flags.only);
  const phases = new Set(allCases().map(({ phase }) => phase));
  const unknown = only.find((word) => !sizes.has(word) && !phases.has(word));
  if (unknown !== undefined) {
    throw new InputError(`--only ${unknown} is neither a size nor a phase`, {
      hint: `there are ${[...sizes.keys(), ...phases].join(', ')}`,
    });
  }
  const matches = (known: { has(word: string): boolean }, trait: string) =>
    !only.some((word) => known.has(word)) || only.includes(trait);
  const quickly = ['E2E', 'MT/1'].includes(what.phase) && what.precision === 'float32';
  return (
    matches(sizes, what.size) &&
    matches(phases, what.phase) &&
    (flags.precision === '' || list(flags.precision).includes(what.precision)) &&
    (!flags.quick || quickly)
  );
}

function readFlags() {
  try {
    const { values } = parseArgs({ options: OPTIONS });
    for (const name of ['threads', 'rounds', 'steps'] as const) {
      if (values[name] !== undefined && !/^[1-9]\d*$/.test(values[name])) {
        throw new InputError(`--${name} is ${values[name]}, it takes a number from 1`);
      }
    }
    return values;
  } catch (error) {
    return fail(error instanceof InputError ? error : new InputError(errorText(error)));
  }
}

function fail(error: unknown): never {
  if (!(error instanceof DeepIncubationError)) throw error;
  process.stderr.write(`error: ${error.message}\n${error.hint ? `  ${error.hint}\n` : ''}`);
  process.exit(error instanceof InputError ? 2 : 1);
}

function list(text: string): string[] {
  return text.split(',').filter(Boolean);
}

await main().catch(fail);
