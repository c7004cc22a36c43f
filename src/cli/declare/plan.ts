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
    .summary('show what a recipe trains and what it costs')
    .description(
      'Prints depths, steps, parameters, block-passes, multiply-accumulates (MACs), memory and disk space of each phase, ' +
        'and the cost of Deep Incubation relative to end-to-end training. A block-pass is one image through one block: ' +
        'forward, weight gradient and activation gradient count as one each. Does not train.',
    )
    .argument('<recipe>', 'recipe file, YAML or JSON')
    .option('--set <key=value>', SET, collect)
    .option('--images <n>', 'assume this number of training images, and open no data set', positiveInteger)
    .option('--measure', 'estimate the time from a few steps of each phase on random images')
    .option(
      '--step-ms <times>',
      'measured milliseconds per step of each phase on one device: PT=80,MT=95,FT=130,E2E=131, or a JSON file',
    )
    .option(
      '--devices <list>',
      'schedule on this number of devices (8, or 1,8,64), and the time relative to end-to-end data parallel',
      positiveIntegers,
    )
    .option('--bandwidth <GB/s>', 'link bandwidth per device, for gradients', positiveNumber, 10)
    .option('--overlap <share>', "share of a micro-batch's time that hides gradient exchange", share, 0.5)
    .option('--json', 'print the plan as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation plan recipes/demo.yaml --measure', 'cost, and estimated time on this machine'],
        ['deep-incubation plan my.yaml --set incubation.modules=8', 'another division'],
        ['deep-incubation plan my.yaml --images 1281167', 'without the images'],
        ['deep-incubation plan my.yaml --devices 1,8,64 --measure', 'on several devices like this one'],
      ),
    )
    .action(async (recipe, options) => (await import('../commands/plan.js')).plan(recipe, options));
}
