import { InputError } from '../base/errors.js';
import { isModule, type Phase, type PhaseName } from './phase.js';
import type { TrainingOverride } from './recipe-training.js';

const MUON_KEYS = ['adjust_lr', 'matrix_lr_scale'] as const;

interface Sections {
  readonly training: TrainingOverride;
  readonly phases: Partial<Record<'PT' | 'MT' | 'FT', TrainingOverride>> & {
    readonly E2E?: TrainingOverride | 'none' | undefined;
    readonly modules?: Readonly<Record<string, TrainingOverride>> | undefined;
  };
}

/**
 * Checks that keys of the optimiser muon are only in sections of phases that use it.
 * @throws InputError naming the key
 */
export function requireMuonForItsKeys(
  { training, phases }: Sections,
  compiled: readonly Phase[],
  source: string,
): void {
  const usesMuon = (applies: (phase: Phase) => boolean) =>
    compiled.some((phase) => applies(phase) && phase.settings.optimizer.name === 'muon');
  const check = (
    section: string,
    given: TrainingOverride | 'none' | undefined,
    applies: (phase: Phase) => boolean,
  ) => {
    const optimizer = given === 'none' ? undefined : given?.optimizer;
    const key = MUON_KEYS.find((name) => (optimizer?.[name] ?? null) !== null);
    if (key === undefined || usesMuon(applies)) return;
    throw new InputError(`${source}: ${section}.optimizer.${key}: only the optimizer muon has this key`, {
      hint: `set ${section}.optimizer.name to muon, or leave out ${key}`,
    });
  };
  const isNamed = (name: PhaseName) => (phase: Phase) => phase.name === name;
  check('training', training, () => true);
  for (const name of ['PT', 'FT', 'E2E'] as const) check(`phases.${name}`, phases[name], isNamed(name));
  check('phases.MT', phases.MT, isModule);
  for (const [index, own] of Object.entries(phases.modules ?? {})) {
    check(`phases.modules.${index}`, own, isNamed(`MT/${Number(index)}`));
  }
}
