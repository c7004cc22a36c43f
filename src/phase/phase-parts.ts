import type { PhasePlan } from '../plan/plan.js';
import type { Lineage } from '../recipe/lineage.js';
import type { Phase } from '../recipe/phase.js';
import type { Activity } from '../run/phase-status.js';
import type { PhaseFolder } from '../run/run-folder.js';
import type { Precision } from '../torch/precision.js';
import type { Generator } from '../torch/random.js';
import type { Crew } from '../training/distributed/crew.js';
import type { Task } from '../training/task.js';
import type { Images } from './images/images.js';
import type { PhaseEvents } from './observe/phase-events.js';
import type { Log } from './observe/phase-log.js';
import type { PhaseSamples } from './observe/phase-samples.js';
import type { CheckpointData, Trained } from './phase-checkpoint.js';

/** All parts of a phase that is being trained. */
export interface PhaseParts extends Trained {
  readonly phase: Phase;
  readonly plan: PhasePlan;
  readonly folder: PhaseFolder;
  readonly log: Log;
  readonly events: PhaseEvents;
  /** Only in the process that writes files. */
  readonly samples: PhaseSamples | undefined;
  readonly images: Images;
  readonly task: Task;
  readonly generator: Generator;
  readonly device: string;
  /** What `training.precision` means on the device, or what the phase began with. */
  readonly precision: Precision;
  readonly crew: Crew;
  readonly lineage: Lineage | undefined;
  readonly data: CheckpointData;
  readonly onProgress: (activity: Activity) => void;
  readonly signal: AbortSignal | undefined;
  /** Checkpoints of at least this many bytes are written while training continues. */
  readonly threadBytes?: number | undefined;
}
