/**
 * Is a backbone that was trained by Deep Incubation as good as one that was trained end to end, for a task with few images?
 *
 *   npm run example:scenes [-- --out FOLDER --seeds 0,1,2 --task segmentation]
 *
 * The seeds run side by side, each in its own process with one thread. The folder of a seed has its runs; a second call resumes.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runSeed, type SeedResult, TASKS } from './experiment.js';
import { drawPredictions } from './picture.js';
import { tableOf } from './table.js';

const { values: given } = parseArgs({
  options: {
    out: { type: 'string', default: 'runs/scenes' },
    seeds: { type: 'string', default: '0,1,2' },
    task: { type: 'string' },
  },
});
const seeds = given.seeds.split(',').map(Number);
const tasks = TASKS.filter((task) => given.task === undefined || given.task === task);
if (tasks.length === 0) throw new Error(`--task ${given.task}: expected ${TASKS.join(' or ')}`);
if (!seeds.every(Number.isSafeInteger)) throw new Error(`--seeds ${given.seeds}: expected 0,1,2`);
const folderOf = (seed: number) => join(given.out, `seed-${seed}`);

if (process.env.SCENES_SEED !== undefined) {
  const seed = Number(process.env.SCENES_SEED);
  await runSeed(folderOf(seed), seed, { tasks });
} else {
  const started = performance.now();
  await Promise.all(seeds.map(inOwnProcess));
  const results = seeds.map(
    (seed): SeedResult => JSON.parse(readFileSync(join(folderOf(seed), 'result.json'), 'utf8')),
  );
  const pictures = tasks.map((task) => join(given.out, `${task}.png`));
  for (const [i, task] of tasks.entries()) await drawPredictions(folderOf(seeds[0]), task, pictures[i]);
  console.log(tableOf(results).join('\n'));
  console.log(
    `${Math.round((performance.now() - started) / 1000)} s. Pictures: ${pictures.join(', ')}. Reports: ${given.out}/seed-*/*/*/report/index.html`,
  );
}

async function inOwnProcess(seed: number): Promise<void> {
  const env = { ...process.env, SCENES_SEED: String(seed), OMP_NUM_THREADS: '1' };
  const [code] = await once(fork(process.argv[1], process.argv.slice(2), { env }), 'exit');
  if (code !== 0) throw new Error(`seed ${seed} failed`);
}
