import { RunError } from '../../base/errors.js';

/** A phase was asked to stop, and left a checkpoint to go on from. */
export class Interrupted extends RunError {}
