import { existsSync } from 'node:fs';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import type { PhasePlan } from '../../plan/plan.js';
import type { StepTimes } from '../../plan/plan-devices.js';
import { readJson } from '../../run/run-folder.js';

const times = z.record(z.string(), z.number().positive());

/**
 * Parses step times that were measured elsewhere: `PT=80,MT=95,FT=130`, or a JSON file `{"PT": 80, ...}`, in milliseconds on one
 * device. `MT` stands for every module, `MT/0` for one of them.
 * @returns seconds by phase
 * @throws InputError if the value is invalid, a phase is unknown or a step time is missing
 */
export function readStepTimes(given: string, phases: readonly PhasePlan[]): Map<string, StepTimes> {
  const parsed = times.safeParse(existsSync(given) ? readJson(given) : pairsOf(given));
  const example = phases.map(({ phase }) => `${phase.replace(/\/.*/, '')}=100`);
  const hint = `in milliseconds, such as --step-ms ${[...new Set(example)].join(',')}; or a JSON file with an object of the same form`;
  if (!parsed.success) throw new InputError(`--step-ms ${given}: not a list of step times`, { hint });
  const milliseconds = new Map(Object.entries(parsed.data));
  const names = new Set(phases.flatMap(({ phase }) => [phase, phase.replace(/\/.*/, '')]));
  const unknown = [...milliseconds.keys()].find((name) => !names.has(name));
  if (unknown !== undefined) throw new InputError(`--step-ms: the recipe has no phase ${unknown}`, { hint });
  return new Map(
    phases.map(({ phase }) => {
      const found = milliseconds.get(phase) ?? milliseconds.get(phase.replace(/\/.*/, ''));
      if (found === undefined) throw new InputError(`--step-ms: no time for ${phase}`, { hint });
      return [phase, { step: found / 1000, update: 0, start: 0 }];
    }),
  );
}

function pairsOf(text: string): Record<string, number> {
  return Object.fromEntries(
    text.split(',').map((pair) => {
      const [name, value = ''] = pair.split('=');
      return [name.trim(), value.trim() === '' ? Number.NaN : Number(value)];
    }),
  );
}
