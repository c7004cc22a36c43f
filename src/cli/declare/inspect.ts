import type { Command } from '@commander-js/extra-typings';
import { CHECKPOINT, examples, weightsOption } from '../commands/common-options.js';

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('what a checkpoint holds')
    .description(
      'Prints format, stages, parameters and geometry of a checkpoint, and how far training was. Takes what `eval` ' +
        'takes. A .pth is read without running the code it may contain.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .option('--tensors', 'list every tensor')
    .addOption(weightsOption())
    .option('--json', 'print it as JSON')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation inspect runs/demo/PT', 'the latest checkpoint of a phase'],
        ['deep-incubation inspect vit_base.pth --tensors', 'every tensor with its shape'],
      ),
    )
    .action(async (checkpoint, options) =>
      (await import('../commands/inspect.js')).inspect(checkpoint, options),
    );
}
