import { runsOfSweep } from '../../launch/sweep-folder.js';
import { cifar100Table } from '../../report/cifar-100.js';
import { type ReportFiles, writeComparison, writeReport } from '../../report/html.js';
import { readRun } from '../../report/run-data.js';
import { runsIn } from '../../run/run-folder.js';
import { columns, note, print } from '../terminal/output.js';

/**
 * `report`: writes the page of each run again; for several runs, or a sweep, also a comparison. Runs of recipes/cifar-100 are also
 * printed beside the published results.
 */
export async function report(given: readonly string[]): Promise<void> {
  const runDirs = given.flatMap(runsOfSweep).flatMap(runsIn);
  if (runDirs.length === 1) printReport(await writeReport(runDirs[0]));
  else {
    const { reports, figures } = await writeComparison(runDirs);
    reports.forEach(printReport);
    print(...figures);
  }
  printCifar100(runDirs);
}

function printReport({ html, notes }: ReportFiles): void {
  for (const line of notes) note(line);
  print(html);
}

function printCifar100(runDirs: readonly string[]): void {
  const table = cifar100Table(runDirs.map((root) => ({ root, summary: readRun(root).summary })));
  if (table === undefined) return;
  print('', 'CIFAR-100', ...columns(table.lines, 2), '', ...table.sources);
}
