import type { Command } from '@commander-js/extra-typings';
import { CHECKPOINT, examples, weightsOption } from '../commands/common-options.js';

export function addInspect(program: Command): void {
  program
    .command('inspect')
    .summary('show the contents of a checkpoint')
    .description(
      'Prints the format, stages, parameters, geometry and training state of a checkpoint. Accepts the same checkpoints as ' +
        '`eval`. A .pth file is read without running the code that it may contain.',
    )
    .argument('<checkpoint>', CHECKPOINT)
    .option('--tensors', 'list every tensor')
    .addOption(weightsOption())
    .option('--json', 'print the result as JSON')
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
