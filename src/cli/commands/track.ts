import { InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { recipeOfRun } from '../../launch/run-recipe.js';
import { trackersOf } from '../../library/track-run.js';
import { urlProblem } from '../../recipe/recipe-values.js';
import { readRunStatus } from '../../report/run-status.js';
import { requireRun } from '../../run/run-folder.js';
import { mlflowTracker } from '../../run/trackers/mlflow.js';
import type { Tracker } from '../../run/trackers/tracker.js';
import { readTracking } from '../../run/trackers/tracking-state.js';
import { trackioTracker } from '../../run/trackers/trackio.js';
import { follow, openUpload } from '../../run/trackers/upload.js';
import { note, print } from '../terminal/output.js';
import { stopOnSignals } from '../terminal/signals.js';

interface TrackOptions {
  readonly mlflow?: string;
  readonly trackio?: string;
  readonly experiment?: string;
  readonly follow?: true;
}

/** `track`: sends the metrics of a run to trackers, once or until the run is done. */
export async function track(runDir: string, options: TrackOptions): Promise<void> {
  requireRun(runDir);
  const trackers = chosen(runDir, options);
  using stop = stopOnSignals({ onStop: () => note('sending what is left; a second Ctrl-C stops at once') });
  const send = async (tracker: Tracker) => {
    const upload = await openUpload(runDir, tracker, note);
    const state = () => readRunStatus(runDir).state;
    const isOver = () => !options.follow || state() === 'done';
    await follow(upload, { end: stop.signal, isOver, state, note }).finally(upload.release);
    const sent = Object.values(readTracking(runDir, tracker.kind)?.sent ?? {});
    const records = sent.reduce((sum, each) => sum + each.records, 0);
    print(`${tracker.label} has ${records.toLocaleString('en-US')} records of ${runDir}`);
  };
  const failures = (await Promise.allSettled(trackers.map(send))).filter(
    (each) => each.status === 'rejected',
  );
  if (failures.length > 0) throw failures[0].reason;
}

/** The trackers of the options; without any, those of the recipe, else those that have records of the run. */
function chosen(runDir: string, { mlflow, trackio, experiment }: TrackOptions): Tracker[] {
  const { name, run } = recipeOfRun(runDir);
  const place = experiment ?? name;
  const given = [
    ...(mlflow === undefined ? [] : [mlflowTracker(checked('--mlflow', mlflow), place)]),
    ...(trackio === undefined ? [] : [trackioTracker(checked('--trackio', trackio), place)]),
  ];
  if (given.length > 0) return given;
  const settings = { mlflow: run.mlflow, trackio: run.trackio };
  const known = trackersOf(settings, name);
  const found = known.length > 0 ? known : earlier(runDir);
  if (found.length > 0) return found;
  throw new InputError(`${runDir} has no tracker: its recipe has neither run.mlflow nor run.trackio`, {
    hint: `name one: ${ownCommand('track', runDir, '--mlflow', 'http://localhost:5000')}`,
  });
}

function earlier(runDir: string): Tracker[] {
  const [mlflow, trackio] = ['mlflow', 'trackio'].map((kind) => readTracking(runDir, kind)?.place);
  return [
    ...(mlflow === undefined ? [] : [mlflowTracker(mlflow.url, mlflow.experiment)]),
    ...(trackio === undefined ? [] : [trackioTracker(trackio.url, trackio.project)]),
  ];
}

function checked(option: string, url: string): string {
  const problem = urlProblem(url);
  if (problem === undefined) return url;
  throw new InputError(`${option}: ${problem}`);
}
