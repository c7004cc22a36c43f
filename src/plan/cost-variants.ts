import type { Blueprint, Regime } from '../models/staged.js';
import type { Phase } from '../recipe/phase.js';
import { imageCost } from './cost.js';

/** Block-passes of all phases except E2E, divided by those of E2E, counted in four ways (docs/method.md, "What it costs"). */
export interface CostRatios {
  /** The official code: later meta stages compute weight gradients that nobody uses. */
  readonly official: number;
  /** As in this program: frozen stages compute no weight gradients. */
  readonly frozen: number;
  /** Like `frozen`, and modules that are incubated together share the forward pass of the frozen prefix. */
  readonly prefix_shared: number;
  /** Like `prefix_shared`, and the meta model already exists. */
  readonly meta_given: number;
}

export interface Counted {
  readonly phase: Phase;
  /** Number of images in all steps. */
  readonly images: number;
}

/** @returns undefined if the recipe has no baseline or no module to incubate */
export function costRatios(blueprint: Blueprint, counted: readonly Counted[]): CostRatios | undefined {
  const baseline = counted.find(({ phase }) => phase.name === 'E2E');
  const modules = counted.filter(({ phase }) => phase.name.startsWith('MT/'));
  if (baseline === undefined || modules.length === 0) return undefined;
  const own = counted.filter((each) => each !== baseline);
  const passes = (list: readonly Counted[], regimesOf: (phase: Phase) => readonly Regime[] = ownRegimes) =>
    list.reduce((sum, { phase, images }) => {
      const { depths, target, settings } = phase;
      return (
        sum +
        images *
          imageCost(blueprint, depths, regimesOf(phase), { target, freeze: settings.freeze }).blockPasses
      );
    }, 0);
  const whole = passes([baseline]);
  const frozen = passes(own);
  const shared = frozen - sharedPrefix(modules);
  const pretraining = passes(own.filter(({ phase }) => phase.name === 'PT'));
  return {
    official: passes(own, officialRegimes) / whole,
    frozen: frozen / whole,
    prefix_shared: shared / whole,
    meta_given: (shared - pretraining) / whole,
  };
}

const ownRegimes = ({ regimes }: Phase): readonly Regime[] => regimes;

function officialRegimes({ regimes }: Phase): Regime[] {
  return regimes.map((regime) => (regime === 'suffix' ? 'trained' : regime));
}

/** Block-passes that are saved if the forward pass of each frozen prefix stage runs once for all modules. */
export function sharedPrefix(modules: readonly Counted[]): number {
  const stages = modules[0].phase.depths.map((_, stage) => {
    const forward = modules
      .filter(({ phase }) => phase.regimes[stage] === 'prefix')
      .map(({ phase, images }) => images * phase.depths[stage]);
    return forward.reduce((sum, each) => sum + each, 0) - Math.max(0, ...forward);
  });
  return stages.reduce((sum, each) => sum + each, 0);
}
