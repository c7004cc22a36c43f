import { RunError } from '../../base/errors.js';

/** Another of the processes that train together is gone, or never came: that one, if any, says why. */
export class LostRank extends RunError {}
