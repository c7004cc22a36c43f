import { existsSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { InputError } from '../base/errors.js';
import { runFolder } from '../checkpoint/run-folder.js';
import type { SampleKind } from '../checkpoint/samples.js';
import { readJudged, readStrip } from './judged-files.js';
import { createPhaseFeed, type PhaseFeed } from './phase-feed.js';
import type { Judged, RunState } from './protocol.js';
import { readRunJson, readTail } from './run-file.js';
import { readStandings, type Standing, stateOf } from './run-state.js';

/** A run folder, read as it grows. */
export interface RunFeed {
  readonly id: number;
  /** In training order. */
  readonly phases: readonly PhaseFeed[];
  /** Reads on, a piece. @returns whether there is more to read at once */
  poll(): boolean;
  state(): RunState;
  recipe(): Record<string, unknown>;
  /** The last lines of a phase's log. */
  log(phase: string): readonly string[];
  judged(phase: string): Judged | undefined;
  /** A PNG of the phase's `samples/`. */
  strip(phase: string, kind: SampleKind, step: number): Buffer | undefined;
}

const LOG_BYTES = 48 << 10;

/** @throws InputError where `root` is no run folder */
export function createRunFeed(root: string, id: number): RunFeed {
  if (!existsSync(runFolder(root).recipe)) {
    throw new InputError(`${root} is not a run folder: it has no recipe.json.`, {
      hint: 'Name the folder that `deep-incubation run` writes; it is there as soon as the run has begun.',
    });
  }
  const folder = runFolder(realpathSync(root));
  const feeds = new Map<string, PhaseFeed>();
  let standings: Standing[] = [];

  const poll = () => {
    standings = readStandings(folder.root);
    for (const { phase } of standings) {
      if (!feeds.has(phase)) feeds.set(phase, createPhaseFeed(folder.root, phase));
    }
    return inOrder().filter((feed) => feed.poll()).length > 0;
  };
  const inOrder = () => standings.flatMap(({ phase }) => feeds.get(phase) ?? []);

  return {
    id,
    get phases() {
      return inOrder();
    },
    poll,
    state: () => {
      const recipe = readRunJson(folder.recipe) ?? {};
      const phases = standings.flatMap((standing) => feeds.get(standing.phase)?.state(standing) ?? []);
      return {
        id,
        name: typeof recipe.name === 'string' ? recipe.name : basename(folder.root),
        folder: basename(folder.root),
        seed: typeof recipe.seed === 'number' ? recipe.seed : null,
        state: stateOf(phases.map(({ state }) => state)),
        phases,
      };
    },
    recipe: () => readRunJson(folder.recipe) ?? {},
    log: (phase) => (feeds.has(phase) ? readTail(folder.phase(phase).log, LOG_BYTES).lines : []),
    judged: (phase) => (feeds.has(phase) ? readJudged(folder.phase(phase)) : undefined),
    strip: (phase, kind, step) => (feeds.has(phase) ? readStrip(folder.phase(phase), kind, step) : undefined),
  };
}
