/**
 * Trains the modules of the demo's model for some steps each, with one process per module and together in one process
 * (`incubation.together`), and compares the throughput in images per second over all modules.
 *
 *   npm run bench -- co-incubation [--steps 20] [--rounds 3] [--set key=value]...
 *
 * The variants alternate in rounds and start from the same meta model. Two times are measured: that of the command, which
 * includes one start per process, and the training time that the phases record. Writes bench/results/co-incubation.json and .md.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { writeResults } from './write-results.js';

// The compiled file is in dist-bench/bench/, and dist is next to it as src.
const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const { values: flags } = parseArgs({
  options: {
    steps: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    set: { type: 'string', multiple: true, default: [] },
  },
});
const steps = Number(flags.steps);
const rounds = Number(flags.rounds);

interface Way {
  readonly name: string;
  readonly together: boolean;
  readonly parallel: number;
}

const cores = cpus().length;
const WAYS: readonly Way[] = [
  { name: `one process a module, ${cores} at a time`, together: false, parallel: cores },
  { name: 'one process a module, one after another', together: false, parallel: 1 },
  { name: 'together in one process', together: true, parallel: 1 },
  { name: `together, in ${cores} processes`, together: true, parallel: cores },
];

const work = mkdtempSync(join(tmpdir(), 'co-incubation-'));
const BATCH = 64;
const TRAIN_IMAGES = BATCH * steps;

function run(out: string, only: string, { together, parallel }: Omit<Way, 'name'>): number {
  const settings = {
    'data.train_images': TRAIN_IMAGES,
    'data.eval_images': 64,
    'phases.PT.epochs': 0.1,
    'phases.MT.epochs': 1,
    'phases.E2E': 'none',
    'training.eval_every': 100,
    'training.checkpoint_every': 1000,
    'incubation.together': together,
    'run.parallel': parallel,
  };
  const set = [...Object.entries(settings).map(([key, value]) => `${key}=${value}`), ...flags.set];
  const args = ['run', at('recipes/demo.yaml'), '--out', out, '--only', only, '--quiet'];
  const started = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [
    main,
    ...args,
    ...set.flatMap((s) => ['--set', s]),
  ]);
  if (status !== 0) throw new Error(String(stderr));
  return (performance.now() - started) / 1000;
}

const MODULES = [0, 1, 2, 3].map((i) => `MT/${i}`);

/** Duration of the command and training time recorded by the modules, over all modules, in seconds. */
function measure(way: Way): { command: number; training: number } {
  const out = join(work, 'run');
  rmSync(out, { recursive: true, force: true });
  cpSync(join(work, way.together ? 'meta-together' : 'meta'), out, { recursive: true });
  const command = run(out, MODULES.join(','), way);
  const seconds = MODULES.map(
    (name) => JSON.parse(readFileSync(join(out, name, 'result.json'), 'utf8')).seconds as number,
  );
  // Parallel modules run at the same time.
  const training = seconds.reduce((a, b) => a + b, 0) / Math.min(way.parallel, MODULES.length);
  return { command, training };
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

try {
  for (const together of [false, true]) {
    run(join(work, together ? 'meta-together' : 'meta'), 'PT', { together, parallel: 1 });
  }
  const measured = WAYS.map((): { command: number; training: number }[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, way] of WAYS.entries()) measured[i].push(measure(way));
    console.error(`round ${round + 1} of ${rounds}`);
  }
  const rows = WAYS.map(({ name }, i) => {
    const command = median(measured[i].map((each) => each.command));
    const training = median(measured[i].map((each) => each.training));
    return { name, command, training };
  });
  const best = Math.min(...rows.slice(0, 2).map(({ training }) => training));
  const lines = [
    `${MODULES.length} modules of recipes/demo.yaml, ${steps} steps of ${BATCH} images each, ${cores} cores, median of ${rounds}.`,
    '',
    '| way | command, s | training, s | images/s | against the better way apart |',
    '|---|---|---|---|---|',
    ...rows.map(({ name, command, training }) => {
      const rate = (MODULES.length * steps * BATCH) / training;
      return `| ${name} | ${command.toFixed(1)} | ${training.toFixed(1)} | ${rate.toFixed(0)} | ${(best / training).toFixed(2)} x |`;
    }),
    '',
  ];
  console.log(lines.join('\n'));
  writeResults('co-incubation', lines.join('\n'), { steps, rounds, cores, rows, measured });
} finally {
  rmSync(work, { recursive: true, force: true });
}
