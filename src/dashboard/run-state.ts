import { join } from 'node:path';
import { jobsOf, type QueuedJob, type SlurmJob, slurmFolder } from '../launch/slurm/slurm-jobs.js';
import {
  type PhaseCondition,
  type PlannedPhase,
  phaseCondition,
  plannedPhases,
} from '../report/phase-condition.js';
import { phasesIn, readRunJson, runFolder } from '../run/run-folder.js';

/** The state of a phase, read from the run folder only. */
export interface PlannedCondition extends PhaseCondition, Pick<PlannedPhase, 'depths' | 'starts_from'> {
  readonly steps: number;
  readonly planned_block_passes: number;
}

/** Facts that are not read from the phase's own files. */
export interface Known {
  readonly jobs: readonly SlurmJob[];
  readonly queue: ReadonlyMap<string, QueuedJob> | undefined;
  hasBegun(phase: string): boolean;
}

/** The Slurm jobs that are recorded in the run folder. */
export function readRunJobs(root: string): SlurmJob[] {
  return jobsOf(readRunJson(join(slurmFolder(root), 'jobs.json'))) ?? [];
}

/** The states of all phases of a run, planned or begun, in training order. */
export function readConditions(root: string, { jobs, queue, hasBegun }: Known): PlannedCondition[] {
  const planned = plannedPhases(readRunJson(runFolder(root).plan)) ?? [];
  const plans = new Map(planned.map((plan) => [plan.phase, plan]));
  const names = [...new Set([...plans.keys(), ...phasesIn(root)])].filter(isPhase);
  return names
    .sort((a, b) => orderOf(a) - orderOf(b))
    .map((phase) => {
      const plan = plans.get(phase);
      const { needs = [], depths = [], starts_from = [], steps = null, block_passes = 0 } = plan ?? {};
      const job = jobs.find((each) => each.phase === phase);
      const condition = phaseCondition(root, phase, {
        needs: needs.filter(isPhase),
        job,
        queue,
        hasBegun: hasBegun(phase),
      });
      return { ...condition, depths, starts_from, steps: steps ?? 0, planned_block_passes: block_passes };
    });
}

const PHASE = /^(PT|FT|E2E|MT\/\d{1,4})$/;

function isPhase(name: string): boolean {
  return PHASE.test(name);
}

function orderOf(phase: string): number {
  if (phase.startsWith('MT/')) return 1 + Number(phase.slice(3));
  return { PT: 0, FT: 20_000, E2E: 20_001 }[phase] ?? 0;
}
