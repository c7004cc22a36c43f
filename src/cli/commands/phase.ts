import { existsSync } from 'node:fs';
import { DeepIncubationError, errorText, InputError } from '../../base/errors.js';
import { asFileError } from '../../checkpoint/file-errors.js';
import { runFolder } from '../../checkpoint/run-folder.js';
import { endWithParent } from '../../cluster/orphan-guard.js';
import { openLog } from '../../incubation/phase-log.js';
import type { failureMessage } from '../../incubation/phase-process.js';
import { type PhaseName, phaseOf } from '../../incubation/phases.js';
import { readRun } from '../../incubation/prepare.js';
import { runPhase } from '../../incubation/run-phase.js';
import { resolveDevice, setThreads } from '../../torch/engine.js';
import { explain, Stopped } from '../failure.js';
import { stopOnSignals } from '../signals.js';

/** `phase`: runs one phase in this process, and tells the process that started it how it ended badly. */
export async function runOnePhase(
  runDir: string,
  name: string,
  options: { readonly threads: number; readonly device: string },
): Promise<void> {
  // Without its supervisor nobody knows of this process, and a second one may be started in its place.
  const guard = process.connected ? endWithParent() : undefined;
  using stop = stopOnSignals();
  let phase: PhaseName | undefined;
  try {
    const recipe = readRun(runDir);
    phase = phaseOf(recipe, name as PhaseName).name;
    setThreads(options.threads);
    const device = resolveDevice(options.device);
    await runPhase({ recipe, phase, runDir, device, signal: stop.signal });
  } catch (error) {
    const failure = stop.blame(asFileError(error, runDir));
    if (phase !== undefined) log(runDir, phase, failure);
    await tellSupervisor(failure);
    throw failure;
  } finally {
    guard?.[Symbol.dispose]();
    process.disconnect?.();
  }
}

/** Leaves the whole story in the phase's log, the stack of a defect included. */
function log(runDir: string, name: PhaseName, failure: unknown): void {
  const { root, log: path } = runFolder(runDir).phase(name);
  if (!existsSync(root)) return;
  try {
    openLog(path)(explain(failure, { DEEP_INCUBATION_DEBUG: '1' }).trimEnd());
  } catch {
    // The failure itself may be that nothing can be written. It must be told all the same.
  }
}

function tellSupervisor(failure: unknown): Promise<void> {
  const message: ReturnType<typeof failureMessage.parse> = {
    type: 'failed',
    kind: failure instanceof Stopped ? 'interrupted' : failure instanceof InputError ? 'input' : 'run',
    message: errorText(failure),
    ...(failure instanceof DeepIncubationError && failure.hint !== undefined && { hint: failure.hint }),
  };
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}
