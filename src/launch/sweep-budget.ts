import type { Phase } from '../recipe/phase.js';

/**
 * Settings that train every phase of a recipe for a share of its epochs. The warm-up and the milestones are shortened as much. A
 * baseline of equal cost follows the other phases.
 * @param ownModules numbers of the modules that have a section of their own, `phases.modules.<number>`
 */
export function budgetSettings(
  phases: readonly Phase[],
  ownModules: readonly string[],
  share: number,
): string[] {
  if (share === 1) return [];
  const settings = new Map<string, string>();
  for (const phase of phases.filter(({ equalCost }) => !equalCost)) {
    const section = sectionOf(phase, ownModules);
    const { epochs, schedule } = phase.settings;
    settings.set(`${section}.epochs`, short(epochs * share));
    settings.set(`${section}.schedule.warmup`, short(schedule.warmup * share));
    const milestones = schedule.milestones.map((epoch) => short(epoch * share));
    if (milestones.length > 0) settings.set(`${section}.schedule.milestones`, `[${milestones.join(', ')}]`);
  }
  return [...settings].map(([key, value]) => `${key}=${value}`);
}

/** The section of the recipe for a phase: `phases.MT` for all modules without a section of their own. */
function sectionOf({ name }: Phase, ownModules: readonly string[]): string {
  const module = /^MT\/(\d+)$/.exec(name)?.[1];
  if (module === undefined) return `phases.${name}`;
  return ownModules.includes(module) ? `phases.modules.${module}` : 'phases.MT';
}

function short(value: number): string {
  return String(Number(value.toPrecision(6)));
}
