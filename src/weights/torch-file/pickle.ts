import { InputError } from '../../base/errors.js';
import { isGlobal, type PickleKey, type PickleValue, type PickleWorld } from './pickle-values.js';

/** Reads a pickle sequentially; every read is checked against the end. */
interface Cursor {
  /** Marks the current offset as that of the current opcode, for messages. */
  mark(): void;
  u8(): number;
  u16(): number;
  u32(): number;
  i32(): number;
  /** A 64-bit length. Values beyond 2^53 are rounded; no file is that long, so a read of that length fails. */
  u64(): number;
  /** Big-endian, as pickle writes floats. */
  f64(): number;
  /** A view of the next `length` bytes. */
  bytes(length: number): Uint8Array;
  utf8(length: number): string;
  /** Latin-1 text up to the next newline, which is skipped. */
  line(): string;
  fail(message: string): never;
}

function cursorOf(data: Uint8Array, source: string): Cursor {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let at = 0;
  let opcodeAt = 0;
  const fail = (message: string): never => {
    throw new InputError(`${source}: pickle byte ${opcodeAt}: ${message}`, {
      hint: 'The file is damaged, or was not written by torch.save.',
    });
  };
  const advance = (length: number): number => {
    if (!(length <= data.length - at)) fail('the pickle ends inside an instruction');
    const start = at;
    at += length;
    return start;
  };
  const bytes = (length: number) => {
    const start = advance(length);
    return data.subarray(start, start + length);
  };
  return {
    mark: () => {
      opcodeAt = at;
    },
    u8: () => view.getUint8(advance(1)),
    u16: () => view.getUint16(advance(2), true),
    u32: () => view.getUint32(advance(4), true),
    i32: () => view.getInt32(advance(4), true),
    u64: () => Number(view.getBigUint64(advance(8), true)),
    f64: () => view.getFloat64(advance(8), false),
    bytes,
    utf8: (length) => {
      const encoded = bytes(length);
      try {
        return text.decode(encoded);
      } catch {
        return fail('a string is not UTF-8');
      }
    },
    line: () => {
      const end = data.indexOf(10, at);
      if (end < 0) fail('the pickle ends inside an instruction');
      const line = Buffer.from(bytes(end - at)).toString('latin1');
      advance(1);
      return line;
    },
    fail,
  };
}

/** State of the pickle interpreter. `pop` and `top` fail rather than reach below the last mark. */
interface PickleMachine {
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

function machineOf(input: Cursor, world: PickleWorld): PickleMachine {
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

function listOf(machine: PickleMachine, value: PickleValue): PickleValue[] {
  return Array.isArray(value) ? value : machine.input.fail('a list was expected');
}

function mapOf(machine: PickleMachine, value: PickleValue): Map<PickleKey, PickleValue> {
  return value instanceof Map ? value : machine.input.fail('a dictionary was expected');
}

type Opcode = (machine: PickleMachine) => void;

const HIGHEST_PROTOCOL = 5;

/** Limit for long integers, whose conversion is not linear. No checkpoint comes near it. */
const MAX_INTEGER_BYTES = 256;

const MARKS: [number, Opcode][] = [
  [0x28, (m) => m.mark()], // MARK
  [0x30, (m) => m.drop()], // POP
  [0x31, (m) => void m.popToMark()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP
];

const NUMBERS: [number, Opcode][] = [
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4b, (m) => m.push(m.input.u8())], // BININT1
  [0x4d, (m) => m.push(m.input.u16())], // BININT2
  [0x4a, (m) => m.push(m.input.i32())], // BININT
  [0x8a, (m) => m.push(integer(m, m.input.u8()))], // LONG1
  [0x8b, (m) => m.push(integer(m, m.input.u32()))], // LONG4
  [0x47, (m) => m.push(m.input.f64())], // BINFLOAT
];

const STRINGS: [number, Opcode][] = [
  [0x58, (m) => m.push(m.input.utf8(m.input.u32()))], // BINUNICODE
  [0x8c, (m) => m.push(m.input.utf8(m.input.u8()))], // SHORT_BINUNICODE
  [0x8d, (m) => m.push(m.input.utf8(m.input.u64()))], // BINUNICODE8
  [0x55, (m) => m.push(latin1(m.input.bytes(m.input.u8())))], // SHORT_BINSTRING
  [0x54, (m) => m.push(latin1(m.input.bytes(m.input.u32())))], // BINSTRING
  [0x43, (m) => m.push(m.input.bytes(m.input.u8()))], // SHORT_BINBYTES
  [0x42, (m) => m.push(m.input.bytes(m.input.u32()))], // BINBYTES
  [0x8e, (m) => m.push(m.input.bytes(m.input.u64()))], // BINBYTES8
  [0x96, (m) => m.push(m.input.bytes(m.input.u64()))], // BYTEARRAY8
];

const CONTAINERS: [number, Opcode][] = [
  [0x29, (m) => m.push([])], // EMPTY_TUPLE
  [0x74, (m) => m.push(m.popToMark())], // TUPLE
  [0x85, (m) => m.push(popLast(m, 1))], // TUPLE1
  [0x86, (m) => m.push(popLast(m, 2))], // TUPLE2
  [0x87, (m) => m.push(popLast(m, 3))], // TUPLE3
  [0x5d, (m) => m.push([])], // EMPTY_LIST
  [0x61, (m) => append(m, popLast(m, 1))], // APPEND
  [0x65, (m) => append(m, m.popToMark())], // APPENDS
  [0x7d, (m) => m.push(new Map())], // EMPTY_DICT
  [0x73, (m) => setItems(m, popLast(m, 2))], // SETITEM
  [0x75, (m) => setItems(m, m.popToMark())], // SETITEMS
];

const MEMO: [number, Opcode][] = [
  [0x71, (m) => m.memoize(m.input.u8())], // BINPUT
  [0x72, (m) => m.memoize(m.input.u32())], // LONG_BINPUT
  [0x94, (m) => m.memoize()], // MEMOIZE
  [0x68, (m) => m.recall(m.input.u8())], // BINGET
  [0x6a, (m) => m.recall(m.input.u32())], // LONG_BINGET
];

const OUTSIDE: [number, Opcode][] = [
  [0x80, protocol], // PROTO
  [0x95, (m) => void m.input.u64()], // FRAME
  [0x63, (m) => m.push(m.world.global(`${m.input.line()}.${m.input.line()}`))], // GLOBAL
  [0x93, stackGlobal], // STACK_GLOBAL
  [0x51, (m) => m.push(m.world.persistent(m.pop()))], // BINPERSID
  [0x52, call], // REDUCE
  [0x81, call], // NEWOBJ
  [0x62, build], // BUILD
];

/** The opcodes of plain data (CPython, Lib/pickle.py) except STOP, without text mode and out-of-band buffers. */
const OPCODES: ReadonlyMap<number, Opcode> = new Map(
  [MARKS, NUMBERS, STRINGS, CONTAINERS, MEMO, OUTSIDE].flat(),
);

function protocol(m: PickleMachine): void {
  const version = m.input.u8();
  if (version > HIGHEST_PROTOCOL) m.input.fail(`protocol ${version} is newer than ${HIGHEST_PROTOCOL}`);
}

/** Reads a little-endian two's complement integer. */
function integer(m: PickleMachine, length: number): number | bigint {
  if (length > MAX_INTEGER_BYTES) m.input.fail(`an integer of ${length} bytes`);
  if (length === 0) return 0;
  const hex = Buffer.from(m.input.bytes(length)).reverse().toString('hex');
  const value = BigInt.asIntN(8 * length, BigInt(`0x${hex}`));
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

function popLast(m: PickleMachine, length: number): PickleValue[] {
  return Array.from({ length }, () => m.pop()).reverse();
}

function append(m: PickleMachine, values: readonly PickleValue[]): void {
  const list = listOf(m, m.top());
  for (const value of values) list.push(value);
}

function setItems(m: PickleMachine, pairs: readonly PickleValue[]): void {
  const map = mapOf(m, m.top());
  if (pairs.length % 2 !== 0) m.input.fail('a dictionary gets a key without a value');
  for (let i = 0; i < pairs.length; i += 2) map.set(keyOf(m, pairs[i]), pairs[i + 1]);
}

function keyOf(m: PickleMachine, key: PickleValue): PickleKey {
  return typeof key === 'object' && key !== null
    ? m.input.fail('a dictionary key is neither text nor a number')
    : key;
}

function stackGlobal(m: PickleMachine): void {
  const [module, name] = popLast(m, 2);
  if (typeof module !== 'string' || typeof name !== 'string') m.input.fail('a global without a name');
  m.push(m.world.global(`${module}.${name}`));
}

function call(m: PickleMachine): void {
  const [callee, args] = popLast(m, 2);
  const run = isGlobal(callee) ? callee.call : undefined;
  m.push(run === undefined ? m.input.fail('the called object is not a function') : run(listOf(m, args)));
}

/** Ignores the state of dictionaries: torch adds `_metadata` to a state dict, whose items are already set. */
function build(m: PickleMachine): void {
  const state = m.pop();
  const target = m.top();
  if (!(target instanceof Map)) m.world.build(target, state);
}

const STOP = 0x2e;

/** Limits the memory of empty containers, which take few bytes. A ViT-H's checkpoint with its optimizer has about 50,000. */
const MAX_INSTRUCTIONS = 1_000_000;

/**
 * Interprets a pickle (protocols 2 to 5, the opcodes of plain data) safely: its opcodes can call only the
 * functions of `world`. Memory is proportional to the size of the pickle, time is linear.
 * Throws `InputError` naming `source` and the byte if the pickle is damaged, unknown or rejected.
 */
export function unpickle(data: Uint8Array, world: PickleWorld, source: string): PickleValue {
  const input = cursorOf(data, source);
  const machine = machineOf(input, world);
  for (let done = 0; done < MAX_INSTRUCTIONS; done++) {
    input.mark();
    const code = input.u8();
    if (code === STOP) return machine.pop();
    const run = OPCODES.get(code);
    if (run === undefined) return input.fail(`instruction 0x${code.toString(16)} is not used in checkpoints`);
    run(machine);
  }
  throw new InputError(`${source}: has more than ${MAX_INSTRUCTIONS} pickle instructions; refused`);
}
