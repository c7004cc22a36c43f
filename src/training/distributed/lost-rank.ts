import { RunError } from '../../base/errors.js';

/** Another process of the group is lost, or never joined. That process's own error, if any, states the cause. */
export class LostRank extends RunError {}
