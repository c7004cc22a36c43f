import { type RandomKey, seedOf } from '../base/random.js';
import { type Handle, native } from './native.js';
import { watchHandle } from './scope.js';

/**
 * A random number generator on a device. It is re-seeded from a key before each use: its numbers are a function of the
 * key, so no random state has to be saved. It is freed some time after the last reference is gone.
 *
 * @example
 * const generator = new Generator().seed([0, 'drop-path', 'PT', 12]);
 * const noise = zeros([2]);
 * fillNormal(noise, 0, 1, generator);
 */
export class Generator {
  readonly handle: Handle;

  constructor(device = 'cpu') {
    this.handle = native.generator(device);
    watchHandle(this);
  }

  /** Starts the stream for `key`. */
  seed(key: RandomKey): this {
    native.seedGenerator(this.handle, seedOf(key));
    return this;
  }
}
