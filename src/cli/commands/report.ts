import { writeReport } from '../../report/html.js';
import { note, print } from '../output.js';

/** `report`: writes a run's page again. */
export async function report(runDir: string): Promise<void> {
  const { html, notes } = await writeReport(runDir);
  for (const line of notes) note(line);
  print(html);
}
