import { type Handle, native } from './native.js';

/** An object with a native handle that a scope frees. */
export interface Owned {
  readonly isFreed: boolean;
  readonly handle: Handle;
  takeHandle(): Handle;
}

// One set of tensors per open scope. Scopes are synchronous, so one stack per thread is enough.
const scopes: Set<Owned>[] = [];

// Fallback for objects that no scope owns: generators, and tensors that were kept or made outside all scopes.
const forgotten = new FinalizationRegistry<Handle>((handle) => native.release([handle]));

/** Called by every new tensor: gives it to the innermost open scope. */
export function own(tensor: Owned): void {
  const innermost = scopes.at(-1);
  if (innermost !== undefined) innermost.add(tensor);
  else watchHandle(tensor);
}

/**
 * Runs `work`, then frees every tensor made in it that it does not return. Returned tensors, also those in
 * arrays, maps and plain objects, move to the enclosing scope.
 *
 * @example
 * const x = ones([3]);
 * const loss = scope(() => mean(mul(x, x)));
 * loss.item(); // 1
 * @throws TypeError when `work` is asynchronous: a scope is open only while its function runs
 */
export function scope<T>(work: () => T): T {
  const made = new Set<Owned>();
  scopes.push(made);
  let result: T;
  try {
    result = work();
  } catch (error) {
    scopes.pop();
    release(made);
    throw error;
  }
  scopes.pop();
  if (result instanceof Promise) {
    release(made);
    // The promise will probably reject because of the freed tensors, and no caller handles it.
    result.catch(() => {});
    throw new TypeError(
      'scope() needs a synchronous function: otherwise it would free tensors that are still in use',
    );
  }
  for (const tensor of ownedIn(result)) if (made.delete(tensor)) own(tensor);
  release(made);
  return result;
}

/**
 * Takes a tensor out of its scope: it lives until `free()`, or until it is garbage-collected.
 *
 * @example
 * const kept = scope(() => keep(ones([2])));
 * kept.free();
 */
export function keep<T extends Owned>(tensor: T): T {
  for (const made of scopes) if (made.delete(tensor)) watchHandle(tensor);
  return tensor;
}

/** Number of live tensors and generators in this thread, inside and outside scopes. */
export function liveHandles(): number {
  return native.liveHandles();
}

/** Releases the handle some time after its owner is garbage-collected. */
export function watchHandle(owner: { readonly handle: Handle }): void {
  forgotten.register(owner, owner.handle, owner);
}

/** Called before a handle is released explicitly. */
export function unwatchHandle(owner: { readonly handle: Handle }): void {
  forgotten.unregister(owner);
}

function release(tensors: Set<Owned>): void {
  const handles: Handle[] = [];
  for (const tensor of tensors) if (!tensor.isFreed) handles.push(tensor.takeHandle());
  if (handles.length > 0) native.release(handles);
}

function* ownedIn(value: unknown): Iterable<Owned> {
  if (isOwned(value)) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* ownedIn(item);
  else if (value instanceof Map) for (const item of value.values()) yield* ownedIn(item);
  else if (isPlainObject(value)) for (const item of Object.values(value)) yield* ownedIn(item);
}

function isOwned(value: unknown): value is Owned {
  return typeof value === 'object' && value !== null && 'takeHandle' in value;
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}
