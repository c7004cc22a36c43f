/**
 * Base class of this library's errors.
 *
 * `InputError`: the user's input (a recipe, a file, a flag) is invalid; the program exits with code 2.
 * `RunError`: the work itself failed (non-finite loss, lost process); the program exits with code 1.
 *
 * The message names the file, key, operator or shape that caused the error. `hint` says how to fix it.
 *
 * @example
 * try {
 *   readRecipe('not-there.yaml');
 * } catch (error) {
 *   if (!(error instanceof DeepIncubationError)) throw error;
 *   console.error(error.message, error.hint);
 * }
 */
export class DeepIncubationError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.hint = options.hint;
  }
}

/**
 * The user's input is invalid: exit code 2.
 *
 * @example
 * try {
 *   divide(12, { modules: 5 });
 * } catch (error) {
 *   if (!(error instanceof InputError)) throw error;
 *   console.error(error.hint); // set incubation.modules to one of 1, 2, 3, 4, 6, 12, ...
 * }
 */
export class InputError extends DeepIncubationError {}

/**
 * The work failed although the input was valid: exit code 1.
 *
 * @example
 * const isOurs = (error: unknown) => error instanceof RunError;
 * isOurs(new RunError('the loss is NaN', { hint: 'lower the learning rate' })); // true
 */
export class RunError extends DeepIncubationError {}

/** The message of any thrown value, for messages that quote a cause. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

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
 *   console.log(error.message); // call it again without the signal to resume
 * }
 */
export class Interrupted extends RunError {}
