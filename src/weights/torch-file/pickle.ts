import { InputError } from '../../base/errors.js';
import { cursorOf } from './pickle-cursor.js';
import { machineOf } from './pickle-machine.js';
import { OPCODES } from './pickle-opcodes.js';
import type { PickleValue, PickleWorld } from './pickle-values.js';

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
