import { RunError } from './errors.js';

/**
 * A phase was asked to stop, and saved a checkpoint from which it can resume.
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * const signal = AbortSignal.timeout(0); // or that of a controller, which SIGINT aborts
 * try {
 *   await runPhase({ recipe, phase: 'PT', runDir: 'runs/interrupted', device: 'cpu', signal });
 * } catch (error) {
 *   if (!(error instanceof Interrupted)) throw error;
 *   console.log(error.message); // the same call, without the signal, goes on from there
 * }
 */
export class Interrupted extends RunError {}
