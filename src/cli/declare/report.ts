import type { Command } from '@commander-js/extra-typings';
import { examples } from '../commands/common-options.js';

export function addReport(program: Command): void {
  program
    .command('report')
    .summary("write a run's report again")
    .description(
      'Writes report/index.html of a run, finished or not: one page that needs nothing beside itself.',
    )
    .argument('<run...>', 'folders of runs; of several, each page compares them all')
    .addHelpText(
      'after',
      examples(
        ['deep-incubation report runs/demo', 'writes runs/demo/report/index.html'],
        [
          'deep-incubation report runs/all runs/half runs/quarter',
          'compared, with accuracy against data.fraction',
        ],
      ),
    )
    .action(async (runs) => (await import('../commands/report.js')).report(runs));
}
