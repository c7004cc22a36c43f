import { runsOfSweep } from '../../launch/sweep-folder.js';
import { type ReportFiles, writeComparison, writeReport } from '../../report/html.js';
import { note, print } from '../terminal/output.js';

/** `report`: writes the page of each run again; for several runs, or a sweep, also a comparison. */
export async function report(given: readonly string[]): Promise<void> {
  const runDirs = given.flatMap(runsOfSweep);
  if (runDirs.length === 1) return printReport(await writeReport(runDirs[0]));
  const { reports, figures } = await writeComparison(runDirs);
  reports.forEach(printReport);
  print(...figures);
}

function printReport({ html, notes }: ReportFiles): void {
  for (const line of notes) note(line);
  print(html);
}
