import type { Command } from '@commander-js/extra-typings';
import { collect, examples, positiveInteger, SET } from './shared.js';

export function addPlan(program: Command): void {
  program
    .command('plan')
    .summary('what a recipe will do and cost')
    .description(
      'Prints, for each phase, depths, steps, parameters, block-passes, multiply-accumulates (MACs), memory and disk, ' +
        'and what Deep Incubation costs against end-to-end training. A block-pass is one image through one block: ' +
        'forward, weight gradient and activation gradient count one each. Trains nothing.',
    )
    .argument('<recipe>', 'recipe file, YAML or JSON')
    .option('--set <key=value>', SET, collect)
    .option('--images <n>', 'plan for so many training images, without opening any', positiveInteger)
    .option('--measure', 'run a few steps of each phase on random images, and estimate the time')
    .option('--json', 'print the plan as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation plan recipes/demo.yaml --measure', 'cost, and time on this machine'],
        ['deep-incubation plan my.yaml --set incubation.modules=8', 'divided another way'],
        ['deep-incubation plan my.yaml --images 1281167', 'before the images are there'],
      ),
    )
    .action(async (recipe, options) => (await import('../commands/plan.js')).plan(recipe, options));
}
