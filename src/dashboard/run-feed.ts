import { basename } from 'node:path';
import { askQueue } from '../launch/slurm/slurm-jobs.js';
import { runName, runState } from '../report/phase-condition.js';
import { parallelOf, runSecondsLeft } from '../report/run-eta.js';
import { wayOf } from '../report/way.js';
import { confusionOf } from '../run/confusion.js';
import { picturePath, readDrawnDetails } from '../run/drawn-details.js';
import type { TaskMetrics } from '../run/metric.js';
import {
  type PhaseFolder,
  readBytes,
  readRunJson,
  readTail,
  requireRun,
  resolvedRunFolder,
  sizeOf,
  withRunFile,
} from '../run/run-folder.js';
import { type SampleKind, samplesOf, samplesPath, stripPath } from '../run/samples.js';
import { metricsOfRecipe } from '../tasks/metrics.js';
import { createPhaseFeed, type PhaseFeed } from './phase-feed.js';
import type { PhaseDetails, RunState } from './protocol.js';
import { type Known, type PlannedCondition, readConditions, readRunJobs } from './run-state.js';

/** A run folder that is read while it grows. */
export interface RunFeed {
  readonly id: number;
  /** In training order. */
  readonly phases: readonly PhaseFeed[];
  /** The metrics of its task. */
  readonly metrics: TaskMetrics;
  /** Updates the states of the phases. */
  look(): void;
  state(): RunState;
  recipe(): Record<string, unknown>;
  /** The last lines of a phase's log. */
  log(phase: string): readonly string[];
  details(phase: string): PhaseDetails | undefined;
  /** A PNG from the phase's `samples/`. */
  strip(phase: string, kind: SampleKind, step: number): Buffer | undefined;
  picture(phase: string, step: number, image: number): Buffer | undefined;
}

const QUEUE_MS = 30_000;
const LOG_BYTES = 48 << 10;

/**
 * Queries Slurm periodically, and immediately for new jobs. Until the answer for these arrives, the state comes from the folder
 * only.
 */
function queueAsked(): (jobs: readonly string[]) => Known['queue'] {
  let last = { at: Number.NEGATIVE_INFINITY, jobs: new Set<string>() };
  let answer: { readonly jobs: ReadonlySet<string>; readonly queue: Known['queue'] } | undefined;
  const covers = (asked: ReadonlySet<string> | undefined, jobs: readonly string[]) =>
    asked !== undefined && jobs.every((job) => asked.has(job));
  return (jobs) => {
    if (jobs.length === 0) return undefined;
    if (!covers(last.jobs, jobs) || performance.now() - last.at > QUEUE_MS) {
      const asking = { at: performance.now(), jobs: new Set(jobs) };
      last = asking;
      void askQueue(jobs)
        .catch(() => undefined)
        .then((queue) => {
          // Ignore an answer if a newer query has been started.
          if (last === asking) answer = { jobs: asking.jobs, queue };
        });
    }
    return covers(answer?.jobs, jobs) ? answer?.queue : undefined;
  };
}

/** @throws InputError if `root` is not a run folder */
export function createRunFeed(root: string, id: number): RunFeed {
  requireRun(root);
  const folder = resolvedRunFolder(root);
  const feeds = new Map<string, PhaseFeed>();
  let standings: PlannedCondition[] = [];
  const recipe = () => readRunJson(folder.recipe) ?? {};
  const metrics = metricsOfRecipe(recipe(), folder.recipe);

  const queueOf = queueAsked();
  const stand = (): PlannedCondition[] => {
    const jobs = readRunJobs(folder.root);
    return readConditions(folder.root, {
      jobs,
      queue: queueOf(jobs.map(({ job }) => job)),
      hasBegun: (phase) => sizeOf(folder.phase(phase).metrics) > 0,
    });
  };
  const look = () => {
    try {
      standings = stand();
    } catch {
      // If the folder is temporarily unreadable, or is not a run folder any more, keep the last known states.
    }
    for (const { phase } of standings) {
      if (!feeds.has(phase)) feeds.set(phase, createPhaseFeed(folder.root, phase, metrics));
    }
  };
  const inOrder = () => standings.flatMap(({ phase }) => feeds.get(phase) ?? []);

  return {
    id,
    get phases() {
      return inOrder();
    },
    look,
    state: () => {
      const known = recipe();
      const phases = standings.flatMap((standing) => feeds.get(standing.phase)?.state(standing) ?? []);
      return {
        id,
        name: runName(known, folder.root),
        folder: basename(folder.root),
        way: wayOf(known),
        seed: typeof known.seed === 'number' ? known.seed : null,
        state: runState(phases.map(({ state }) => state)),
        primary: metrics.primary,
        seconds_left: runSecondsLeft(phases, parallelOf(known)),
        phases,
      };
    },
    metrics,
    recipe,
    log: (phase) => (feeds.has(phase) ? readTail(folder.phase(phase).log, LOG_BYTES).lines : []),
    details: (phase) => (feeds.has(phase) ? readPhaseDetails(folder.phase(phase)) : undefined),
    strip: (phase, kind, step) => (feeds.has(phase) ? readStrip(folder.phase(phase), kind, step) : undefined),
    picture: (phase, step, image) =>
      feeds.has(phase) ? readPicture(folder.phase(phase), step, image) : undefined,
  };
}

/** The confusion matrix of a phase's last evaluation, and its saved sample images. */
function readPhaseDetails(folder: PhaseFolder): PhaseDetails {
  const samples = (kind: SampleKind) =>
    withoutPlaces(samplesOf(readRunJson(samplesPath(folder.samples, kind))));
  return {
    confusion: confusionOf(readRunJson(folder.confusion)) ?? null,
    train: samples('train'),
    eval: samples('eval'),
    drawn: withoutPlaces(readDrawnDetails(folder)),
  };
}

/** Replaces file paths by file names. */
function withoutPlaces<T extends { readonly images: readonly { readonly file: string }[] }>(
  samples: T | undefined,
): T | null {
  if (samples === undefined) return null;
  return { ...samples, images: samples.images.map((image) => ({ ...image, file: basename(image.file) })) };
}

const MOST_BYTES = 16 << 20;
const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** A PNG strip; undefined if the file is missing, too large or not a PNG. */
function readStrip(folder: PhaseFolder, kind: SampleKind, step: number): Buffer | undefined {
  return readPng(stripPath(folder.samples, kind, step));
}

/** The picture of a drawn image, counted from 0. */
function readPicture(folder: PhaseFolder, step: number, image: number): Buffer | undefined {
  return readPng(picturePath(folder, step, image));
}

function readPng(path: string): Buffer | undefined {
  return withRunFile(path, (handle, { size }) => {
    if (size > MOST_BYTES) return undefined;
    const bytes = readBytes(handle, 0, size);
    return bytes.subarray(0, PNG.length).equals(PNG) ? bytes : undefined;
  });
}
