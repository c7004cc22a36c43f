import { RunError } from '../../base/errors.js';

/** Another process of the group is lost, or never joined. Its own error, if any, has the cause. */
export class LostRank extends RunError {}
