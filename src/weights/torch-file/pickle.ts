import { InputError } from '../../base/errors.js';
import { cursorOf } from './pickle-cursor.js';
import { machineOf } from './pickle-machine.js';
import { OPCODES } from './pickle-opcodes.js';
import type { PickleValue, PickleWorld } from './pickle-values.js';

const STOP = 0x2e;

/** A ViT-H's checkpoint with its optimizer has about 50,000. Bounds what containers of no bytes can take. */
const MAX_INSTRUCTIONS = 1_000_000;

/**
 * Runs a pickle (protocols 2 to 5, the opcodes of plain data) without executing anything: no opcode
 * reaches code other than the given world's. Memory stays in proportion to the pickle, time linear.
 * Throws `InputError` naming `source` and the byte for all that is damaged, unknown or refused.
 */
export function unpickle(data: Uint8Array, world: PickleWorld, source: string): PickleValue {
  const input = cursorOf(data, source);
  const machine = machineOf(input, world);
  for (let done = 0; done < MAX_INSTRUCTIONS; done++) {
    input.mark();
    const code = input.u8();
    if (code === STOP) return machine.pop();
    const run = OPCODES.get(code);
    if (run === undefined)
      return input.fail(`instruction 0x${code.toString(16)} is none that a checkpoint uses`);
    run(machine);
  }
  throw new InputError(`${source}: has more than ${MAX_INSTRUCTIONS} pickle instructions; refused`);
}
