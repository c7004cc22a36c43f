import pc from 'picocolors';
import { visibleStrings } from '../../base/visible.js';
import { askQueue, readJobs } from '../../launch/slurm/slurm-jobs.js';
import { readRunStatus } from '../../report/run-status.js';
import { standText } from '../../report/run-status-text.js';
import { printJson, printPainted } from '../terminal/output.js';

/** `status`: prints the state of every phase of a run. Read-only. */
export async function status(runDir: string, options: { readonly json?: true }): Promise<void> {
  const jobs = readJobs(runDir);
  const queue = jobs.length === 0 ? undefined : await askQueue(jobs.map(({ job }) => job));
  const stand = readRunStatus(runDir, queue);
  if (options.json) printJson(stand);
  else printPainted(standText(visibleStrings(stand), pc, process.stdout.columns));
}
