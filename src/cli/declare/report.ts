import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addReport(program: Command): void {
  program
    .command('report')
    .summary('write the report of a run')
    .description('Writes report/index.html of a run, finished or not: one self-contained page.')
    .argument('<run...>', 'folders of runs; with several, each page compares all of them')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation report runs/demo', 'writes runs/demo/report/index.html'],
        [
          'deep-incubation report runs/all runs/half runs/quarter',
          'comparison, with accuracy against data.fraction',
        ],
      ),
    )
    .action(async (runs) => (await import('../commands/report.js')).report(runs));
}
