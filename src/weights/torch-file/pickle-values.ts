/** An object that a `PickleWorld` makes; `kind` is its type. */
export interface PickleObject {
  readonly kind: string;
}

export type PickleKey = string | number | bigint | boolean | null;

/**
 * A value in a pickle: tuples and lists are arrays, dictionaries (ordered or not) are Maps, integers beyond 2^53 are bigint,
 * and everything else is an object that the `PickleWorld` made. Arrays and Maps may contain themselves.
 */
export type PickleValue = PickleKey | Uint8Array | PickleValue[] | Map<PickleKey, PickleValue> | PickleObject;

/** A name that a pickle may refer to; REDUCE and NEWOBJ run its `call`. */
export interface PickleGlobal extends PickleObject {
  readonly kind: 'global';
  readonly name: string;
  readonly call?: (args: readonly PickleValue[]) => PickleValue;
}

/** The objects outside a pickle to which it may refer. Each function throws `InputError` to reject a reference. */
export interface PickleWorld {
  /** `name` is `module.qualname`. */
  readonly global: (name: string) => PickleGlobal;
  readonly persistent: (id: PickleValue) => PickleValue;
  /** Sets the state of an object that is not a dictionary. */
  readonly build: (target: PickleValue, state: PickleValue) => void;
}

export function isGlobal(value: PickleValue): value is PickleGlobal {
  return hasKind(value, 'global');
}

export function hasKind(value: PickleValue, kind: string): value is PickleObject {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === kind;
}

/** Describes a value's type for messages, never its content. */
export function describe(value: PickleValue | undefined): string {
  if (value === null || value === undefined) return 'None';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Map) return 'a dictionary';
  if (value instanceof Uint8Array) return 'bytes';
  return typeof value === 'object' ? `a ${value.kind}` : `a ${typeof value}`;
}
