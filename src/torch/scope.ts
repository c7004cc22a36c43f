import { type Handle, native } from './native.js';

/** Something with a native handle that a scope frees. */
export interface Owned {
  readonly isFreed: boolean;
  readonly handle: Handle;
  takeHandle(): Handle;
}

// One list of tensors an open scope. Scopes are synchronous, so a stack a thread is exact.
const scopes: Set<Owned>[] = [];

// The net below: generators, and tensors made outside every scope, or kept, and then forgotten.
const forgotten = new FinalizationRegistry<Handle>((handle) => native.release([handle]));

/** Called by every new tensor: the innermost open scope owns it. */
export function own(tensor: Owned): void {
  const innermost = scopes.at(-1);
  if (innermost !== undefined) innermost.add(tensor);
  else watch(tensor);
}

/**
 * Runs `work`, then frees every tensor made in it that it does not return. What it returns - a tensor, or
 * arrays and plain objects of them - belongs to the enclosing scope.
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
    // It meets the freed tensors next, and nobody waits for it.
    result.catch(() => {});
    throw new TypeError('scope() takes a synchronous function: it would free tensors that are still in use');
  }
  for (const tensor of ownedIn(result)) if (made.delete(tensor)) own(tensor);
  release(made);
  return result;
}

/**
 * Takes a tensor out of its scope: it lives until `free()`, or until nothing refers to it.
 *
 * @example
 * const kept = scope(() => keep(ones([2])));
 * kept.free();
 */
export function keep<T extends Owned>(tensor: T): T {
  for (const made of scopes) if (made.delete(tensor)) watch(tensor);
  return tensor;
}

/** Tensors and generators alive in this thread, in scopes or out of them. */
export function liveHandles(): number {
  return native.liveHandles();
}

/** Releases the handle some time after its owner is forgotten. */
export function watch(owner: { readonly handle: Handle }): void {
  forgotten.register(owner, owner.handle, owner);
}

/** Called before a handle is released by hand. */
export function unwatch(tensor: Owned): void {
  forgotten.unregister(tensor);
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
