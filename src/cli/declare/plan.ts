import type { Command } from '@commander-js/extra-typings';
import {
  collect,
  examples,
  positiveInteger,
  positiveIntegers,
  positiveNumber,
  SET,
  share,
} from '../commands/common-options.js';

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
    .option(
      '--images <n>',
      'plan for a data set of so many training images, without opening any',
      positiveInteger,
    )
    .option('--measure', 'run a few steps of each phase on random images, and estimate the time')
    .option(
      '--step-ms <times>',
      'milliseconds of a step of each phase on one device, measured elsewhere: PT=80,MT=95,FT=130,E2E=131, or a JSON file',
    )
    .option(
      '--devices <list>',
      'when what runs on so many devices (8, or 1,8,64), and the time against end-to-end data parallel',
      positiveIntegers,
    )
    .option('--bandwidth <GB/s>', "of each device's link, for gradients", positiveNumber, 10)
    .option('--overlap <share>', "of a micro-batch's time, in which gradients travel unnoticed", share, 0.5)
    .option('--json', 'print the plan as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation plan recipes/demo.yaml --measure', 'cost, and time on this machine'],
        ['deep-incubation plan my.yaml --set incubation.modules=8', 'divided another way'],
        ['deep-incubation plan my.yaml --images 1281167', 'before the images are there'],
        ['deep-incubation plan my.yaml --devices 1,8,64 --measure', 'on more devices like this one'],
      ),
    )
    .action(async (recipe, options) => (await import('../commands/plan.js')).plan(recipe, options));
}
