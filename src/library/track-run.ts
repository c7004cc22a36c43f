import { errorText } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import type { PreparedRun } from '../launch/prepare.js';
import type { RunSettings } from '../recipe/recipe-run.js';
import { readRunStatus } from '../report/run-status.js';
import { mlflowTracker } from '../run/trackers/mlflow.js';
import type { Tracker } from '../run/trackers/tracker.js';
import { trackioTracker } from '../run/trackers/trackio.js';
import { follow, openUpload, type Upload } from '../run/trackers/upload.js';

/** Sends the metrics of a run to its trackers while it trains. */
interface Tracking {
  /** Sends what is left. Failures are reported, not thrown: training does not depend on trackers. */
  end(): Promise<void>;
}

/** The trackers that the recipe of a run asks for. */
export function trackersOf(
  { mlflow, trackio }: Pick<RunSettings, 'mlflow' | 'trackio'>,
  name: string,
): Tracker[] {
  return [
    ...(mlflow === null ? [] : [mlflowTracker(mlflow.url, mlflow.experiment ?? name)]),
    ...(trackio === null ? [] : [trackioTracker(trackio.url, trackio.project ?? name)]),
  ];
}

/** Starts to send the metrics of a run, in the background of this process, to the trackers of its recipe. */
export async function startTracking(
  { recipe, runDir }: PreparedRun,
  note: (line: string) => void,
): Promise<Tracking> {
  const ending = new AbortController();
  const following: Promise<void>[] = [];
  for (const tracker of trackersOf(recipe.run, recipe.name)) {
    const failed = (error: unknown, upload?: Upload) =>
      note(`${errorText(error)}; ${leftText(upload)}; to send them: ${ownCommand('track', runDir)}`);
    await openUpload(runDir, tracker, note).then(
      (upload) => {
        const state = (isLast: boolean) => (isLast ? readRunStatus(runDir).state : 'running');
        const done = follow(upload, { end: ending.signal, state, note });
        following.push(done.catch((error) => failed(error, upload)).finally(upload.release));
      },
      (error) => failed(error),
    );
  }
  return {
    async end() {
      ending.abort();
      await Promise.all(following);
    },
  };
}

function leftText(upload: Upload | undefined): string {
  return upload === undefined ? 'no records were sent' : `${upload.unsent()} records were not sent`;
}
