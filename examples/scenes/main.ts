/**
 * Is a backbone that was trained by Deep Incubation as good as one that was trained end to end, for a task with few images?
 *
 *   npm run example:scenes [-- FOLDER [SEED...]]
 *
 * The seeds run side by side, each in its own process with one thread. The folder of a seed has its runs; a second call resumes.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runSeed, type SeedResult } from './experiment.js';
import { drawPredictions } from './picture.js';
import { tableOf } from './table.js';

const [root = 'runs/scenes', ...given] = process.argv.slice(2);
const seeds = given.length > 0 ? given.map(Number) : [0, 1, 2];
const folderOf = (seed: number) => join(root, `seed-${seed}`);

if (process.env.SCENES_SEED !== undefined) {
  const seed = Number(process.env.SCENES_SEED);
  await runSeed(folderOf(seed), seed);
} else {
  const started = performance.now();
  await Promise.all(seeds.map(inOwnProcess));
  const results = seeds.map(
    (seed): SeedResult => JSON.parse(readFileSync(join(folderOf(seed), 'result.json'), 'utf8')),
  );
  await drawPredictions(folderOf(seeds[0]), join(root, 'predictions.png'));
  console.log(tableOf(results).join('\n'));
  console.log(
    `${Math.round((performance.now() - started) / 1000)} s. Pictures: ${root}/predictions.png. Reports: ${root}/seed-*/*/report/index.html`,
  );
}

async function inOwnProcess(seed: number): Promise<void> {
  const env = { ...process.env, SCENES_SEED: String(seed), OMP_NUM_THREADS: '1' };
  const [code] = await once(fork(process.argv[1], [root], { env }), 'exit');
  if (code !== 0) throw new Error(`seed ${seed} failed`);
}
