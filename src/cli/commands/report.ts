import { type ReportFiles, writeComparison, writeReport } from '../../report/html.js';
import { note, print } from '../terminal/output.js';

/** `report`: writes each run's page again; of several runs also what compares them. */
export async function report(runDirs: readonly string[]): Promise<void> {
  if (runDirs.length === 1) return printReport(await writeReport(runDirs[0]));
  const { reports, figures } = await writeComparison(runDirs);
  reports.forEach(printReport);
  print(...figures);
}

function printReport({ html, notes }: ReportFiles): void {
  for (const line of notes) note(line);
  print(html);
}
