import type { Command } from '@commander-js/extra-typings';
import { examples } from './shared.js';

export function addReport(program: Command): void {
  program
    .command('report')
    .summary("write a run's report again")
    .description(
      'Writes report/index.html of a run, finished or not: one page that needs nothing beside itself.',
    )
    .argument('<run>', 'folder of the run')
    .addHelpText(
      'after',
      examples(['deep-incubation report runs/demo', 'writes runs/demo/report/index.html']),
    )
    .action(async (run) => (await import('../commands/report.js')).report(run));
}
