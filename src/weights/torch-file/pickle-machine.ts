import type { Cursor } from './pickle-cursor.js';
import type { PickleKey, PickleValue, PickleWorld } from './pickle-values.js';

/** State of the pickle interpreter. `pop` and `top` fail rather than reach below the last mark. */
export interface PickleMachine {
  readonly input: Cursor;
  readonly world: PickleWorld;
  push(value: PickleValue): void;
  pop(): PickleValue;
  top(): PickleValue;
  mark(): void;
  /** Removes the last mark and all values above it, and returns the values. */
  popToMark(): PickleValue[];
  /** POP: removes the last value, or the last mark if no value is above it. */
  drop(): void;
  memoize(index?: number): void;
  recall(index: number): void;
}

export function machineOf(input: Cursor, world: PickleWorld): PickleMachine {
  const stack: PickleValue[] = [];
  const marks: number[] = [];
  const memo = new Map<number, PickleValue>();
  const top = (): PickleValue => {
    const value = stack.length > (marks.at(-1) ?? 0) ? stack.at(-1) : undefined;
    return value === undefined ? input.fail('the stack is empty') : value;
  };
  return {
    input,
    world,
    top,
    push: (value) => {
      stack.push(value);
    },
    pop: () => {
      const value = top();
      stack.pop();
      return value;
    },
    mark: () => {
      marks.push(stack.length);
    },
    popToMark: () => stack.splice(marks.pop() ?? input.fail('the mark is missing')),
    drop: () => {
      if (stack.length === marks.at(-1)) marks.pop();
      else if (stack.pop() === undefined) input.fail('the stack is empty');
    },
    memoize: (index = memo.size) => {
      memo.set(index, top());
    },
    recall: (index) => {
      const value = memo.get(index);
      stack.push(value === undefined ? input.fail(`the memo has no entry ${index}`) : value);
    },
  };
}

export function listOf(machine: PickleMachine, value: PickleValue): PickleValue[] {
  return Array.isArray(value) ? value : machine.input.fail('a list was expected');
}

export function mapOf(machine: PickleMachine, value: PickleValue): Map<PickleKey, PickleValue> {
  return value instanceof Map ? value : machine.input.fail('a dictionary was expected');
}
