import { RunError } from '../base/errors.js';

/** A phase is done before its last step: its evaluations no longer get better. */
export class StoppedEarly extends RunError {
  constructor() {
    super('the phase stopped early');
  }
}
