import { join, resolve } from 'node:path';
import { makeFolders, writeFileAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { needsOf, type Phase, type PhaseName } from '../recipe/phases.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { requireStartable } from './pipeline.js';
import { readJobs, recordJobs, type SlurmJob, slurmFolder } from './slurm/slurm-jobs.js';
import { askQueue, slurmOutput } from './slurm/slurm-queue.js';
import { batchScript } from './slurm/slurm-script.js';

/** A batch script: of one phase, or of modules as an array. */
export interface PhaseJob {
  /** Its name in the run's folder `slurm`. */
  readonly file: string;
  readonly phases: readonly PhaseName[];
  readonly needs: readonly PhaseName[];
  readonly text: string;
}

export interface SlurmRun {
  readonly recipe: Recipe;
  readonly runDir: string;
  /** What is to be run. */
  readonly phases: readonly Phase[];
  /** Starts a phase's process, with `RUN PHASE` appended. */
  readonly command: readonly string[];
}

/** The jobs of phases, each after those it needs: the modules are one array. */
export function phaseJobs({ recipe, runDir, phases, command }: SlurmRun): PhaseJob[] {
  const root = resolve(runDir);
  const modules = phases.filter(({ name }) => name.startsWith('MT/'));
  const groups = phases
    .filter((phase) => !modules.includes(phase) || phase === modules[0])
    .map((phase) => (phase === modules[0] ? modules : [phase]));
  return groups.map((group) => {
    const [{ name }] = group;
    const isArray = group === modules;
    const title = isArray ? 'MT' : name;
    const { slurm, ranks } = recipe.run;
    // A per cent sign in the folder's own name is no pattern of Slurm's.
    const folder = root.replaceAll('%', '%%');
    const text = batchScript({
      ...slurm,
      ranks,
      runDir: root,
      name: `${recipe.name}-${title}`.replaceAll(/[^\w.-]+/g, '-'),
      output: join(folder, ...(isArray ? ['MT', '%a', 'slurm-%A_%a.txt'] : [name, 'slurm-%j.txt'])),
      options: optionsOf(slurm),
      ...(isArray && { array: group.map((phase) => Number(phase.name.slice(3))) }),
      phase: isArray ? 'MT/$SLURM_ARRAY_TASK_ID' : name,
      command: [
        ...command,
        ...['$run', '$phase'],
        ...(slurm.cpus === undefined ? [] : ['--threads', String(slurm.cpus)]),
      ],
    });
    const needs = [...new Set(group.flatMap(needsOf))];
    return { file: `${title}.sh`, phases: group.map((phase) => phase.name), needs, text };
  });
}

function optionsOf({ partition, account, qos, time, nodes, gpus, cpus, mem, args }: Recipe['run']['slurm']) {
  const named = { partition, account, qos, time, nodes, 'gpus-per-task': gpus, 'cpus-per-task': cpus, mem };
  const given = Object.entries(named).filter(([, value]) => value !== undefined);
  return [...given.map(([key, value]) => `--${key}=${value}`), ...args];
}

/**
 * Gives Slurm what of a run is neither done nor with Slurm already, and writes scripts and job numbers into its folder
 * `slurm`. A job that waits for one that fails leaves the queue.
 * @returns the new jobs
 * @throws InputError for phases that start from what is neither done nor given to Slurm; RunError where Slurm refuses
 */
export async function submitRun(run: SlurmRun): Promise<SlurmJob[]> {
  const { runDir } = run;
  const queued = new Map<string, string>();
  const before = readJobs(runDir);
  const queue = await askQueue(before.map(({ job }) => job));
  // Where Slurm cannot be asked, what was submitted before may still be there; sbatch will say why it cannot.
  for (const { phase, job } of before) if (queue?.has(job) ?? true) queued.set(phase, job);
  const isDone = (name: PhaseName) => readResult(runDir, name) !== undefined;
  const phases = run.phases.filter(({ name }) => !isDone(name) && !queued.has(name));
  requireStartable(run, phases, (name) => isDone(name) || queued.has(name), ['--launcher', 'slurm']);

  const folder = slurmFolder(runDir);
  const submitted: SlurmJob[] = [];
  for (const { file, phases: names, needs, text } of phaseJobs({ ...run, phases })) {
    const path = join(folder, file);
    withFileErrors(path, () => {
      for (const name of names) makeFolders(runFolder(runDir).phase(name).root);
      writeFileAtomic(path, text);
    });
    const after = [...new Set(needs.flatMap((need) => (isDone(need) ? [] : (queued.get(need) ?? []))))];
    const dependency =
      after.length === 0 ? [] : [`--dependency=afterok:${after.join(':')}`, '--kill-on-invalid-dep=yes'];
    const said = await slurmOutput('sbatch', ['--parsable', ...dependency, resolve(path)]);
    // Of several clusters: `12;name`.
    const [id] = said.split(';');
    const jobs = names.map((phase) => {
      const task = phase.startsWith('MT/') ? `_${phase.slice(3)}` : '';
      return { phase, job: `${id}${task}`, script: file, submitted: new Date().toISOString() };
    });
    // A whole array is waited for as one.
    for (const phase of names) queued.set(phase, id);
    // At once: were this process killed now, the job would be nobody's.
    recordJobs(runDir, jobs);
    submitted.push(...jobs);
  }
  return submitted;
}
