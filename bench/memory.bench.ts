/**
 * Compares the peak memory of a phase's process in its first steps with the estimate of `plan`.
 *
 *   npm run bench -- memory [--batch 4] [--models vit-b,vit-l,vit-h] [--phases PT,MT/1,FT] [--set key=value]...
 *
 * Each phase of each recipe, in recipes/imagenet or with its folder (`ade20k/upernet-vit-b`), runs at full size on the CPU, in its own
 * process, with random images. A recipe that starts from a run is trained from random weights.
 */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { measure } from '../src/cli/commands/plan-measure.js';
import { phasePlan } from '../src/plan/plan.js';
import { phaseOf } from '../src/recipe/compile.js';
import type { PhaseName } from '../src/recipe/phase.js';
import { readRecipe } from '../src/recipe/recipe.js';

const { values: flags } = parseArgs({
  options: {
    batch: { type: 'string', default: '4' },
    models: { type: 'string', default: 'vit-b,vit-l,vit-h' },
    phases: { type: 'string', default: 'PT,MT/1,FT' },
    set: { type: 'string', multiple: true, default: [] },
    /** Internal: passed to child processes. */
    only: { type: 'string' },
  },
});

const GIB = 2 ** 30;
/** Memory of a process that has loaded Node, libtorch and its kernels, but holds no tensors. */
const PROCESS = 0.3 * GIB;
const IMAGES = 100_000;

function recipeOf(model: string) {
  return readRecipe(`recipes/${model.includes('/') ? model : `imagenet/${model}`}.yaml`, [
    `training.batch_size=${flags.batch}`,
    `training.total_batch=${flags.batch}`,
    'run.device=cpu',
    ...flags.set,
  ]);
}

if (flags.only === undefined) {
  console.log('| model | phase | images | planned GiB | measured GiB | measured / planned |');
  console.log('|---|---|---|---|---|---|');
  for (const model of flags.models.split(',')) {
    for (const phase of flags.phases.split(',') as PhaseName[]) {
      const { peak } = phasePlan(phaseOf(recipeOf(model), phase), IMAGES).memory;
      const planned = ((peak ?? Number.NaN) + PROCESS) / GIB;
      const args = [...process.argv.slice(1), '--only', `${model} ${phase}`];
      const measured = Number(execFileSync(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] }));
      const cells = [model, phase, flags.batch, planned.toFixed(2), measured.toFixed(2)];
      console.log(`| ${[...cells, (measured / planned).toFixed(3)].join(' | ')} |`);
    }
  }
} else {
  const [model, phase] = flags.only.split(' ') as [string, PhaseName];
  const recipe = recipeOf(model);
  const compiled = phaseOf(recipe, phase);
  await measure(recipe.run, [compiled], [phasePlan(compiled, IMAGES)]);
  console.log((process.resourceUsage().maxRSS * 1024) / GIB);
}
