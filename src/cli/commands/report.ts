import { writeDataEfficiency, writeReport } from '../../report/html.js';
import { note, print } from '../output.js';

/** `report`: writes each run's page again; of several runs also a figure that compares them. */
export async function report(runDirs: readonly string[]): Promise<void> {
  for (const runDir of runDirs) {
    const { html, notes } = await writeReport(runDir);
    for (const line of notes) note(line);
    print(html);
  }
  if (runDirs.length > 1) print(...(await writeDataEfficiency(runDirs)));
}
