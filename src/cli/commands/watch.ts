import { once } from 'node:events';
import { type DashboardOptions, startDashboard } from '../../dashboard/server.js';
import { runsOfSweep } from '../../launch/sweep-folder.js';
import { note, print } from '../terminal/output.js';
import { stopOnSignals } from '../terminal/signals.js';

/** `watch`: serves the dashboard of some runs until it is stopped. */
export async function watch(runs: readonly string[], options: Omit<DashboardOptions, 'runs'>): Promise<void> {
  using stop = stopOnSignals();
  const dashboard = await startDashboard({ ...options, runs: runs.flatMap(runsOfSweep) });
  print(dashboard.url);
  note('Press Ctrl-C to stop the page; the runs continue.');
  if (!stop.signal.aborted) await once(stop.signal, 'abort');
  await dashboard.close();
}
