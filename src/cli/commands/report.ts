import { type ReportFiles, writeComparison, writeReport } from '../../report/html.js';
import { note, print } from '../terminal/output.js';

/** `report`: writes the page of each run again; for several runs also a comparison. */
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
