import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { InputError, RunError } from '../base/errors.js';
import { type Ending, runProcess } from '../cluster/local.js';
import { Interrupted } from './interrupted.js';
import type { PhaseName } from './phases.js';

/** What a phase's process says before it ends badly. */
export const failureMessage = z.object({
  type: z.literal('failed'),
  kind: z.enum(['input', 'run', 'interrupted']),
  message: z.string(),
  hint: z.string().optional(),
});

export interface PhaseProcess {
  readonly command: readonly string[];
  readonly runDir: string;
  readonly phase: PhaseName;
  readonly threads: number;
  readonly device: string;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
}

const RESTARTS = 3;
const BACKOFF_MS = 1000;

/**
 * Runs a phase in a process, and starts it again from its last checkpoint, a few times, where it dies without
 * saying why: a native crash, an out-of-memory kill.
 * @throws InputError or RunError as the phase said, or when it died too often
 */
export async function runPhaseProcess(options: PhaseProcess): Promise<void> {
  const { command, runDir, phase, threads, device, signal, note } = options;
  const argv = [...command, runDir, phase, '--threads', String(threads), '--device', device];
  const env = {
    ...process.env,
    OMP_NUM_THREADS: String(threads),
    UV_THREADPOOL_SIZE: String(Math.max(4, threads)),
  };
  for (let restart = 0; ; restart++) {
    if (signal.aborted) throw new Interrupted(`${phase} was not started`);
    const ending = await runProcess(argv, { env, signal });
    if (ending.code === 0) return;
    const said = failureMessage.safeParse(ending.message);
    if (said.success) throw failureOf(phase, said.data);
    if (signal.aborted) throw new Interrupted(`${phase} was stopped`);
    const cause = causeOf(ending);
    if (restart === RESTARTS) {
      throw new RunError(`${phase} died ${RESTARTS + 1} times, at last of ${cause}`, {
        hint: `its log is ${runDir}/${phase}/log.txt; run again to go on from its last checkpoint`,
      });
    }
    note(`${phase} died of ${cause}; it goes on from its last checkpoint`);
    await sleep(BACKOFF_MS * 2 ** restart);
  }
}

function failureOf(phase: PhaseName, { kind, message, hint }: z.infer<typeof failureMessage>): Error {
  if (kind === 'input') return new InputError(message, { hint });
  if (kind === 'interrupted') return new Interrupted(message, { hint });
  return new RunError(message.startsWith(phase) ? message : `${phase}: ${message}`, { hint });
}

function causeOf({ code, signal, stderr }: Ending): string {
  if (signal === 'SIGKILL') return 'SIGKILL (perhaps out of memory)';
  if (signal !== null) return signal;
  const lastLine = stderr.trim().split('\n').at(-1);
  return `exit ${code}${lastLine ? `: ${lastLine}` : ''}`;
}
