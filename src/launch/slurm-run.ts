import { join, resolve } from 'node:path';
import { makeFolders, writeFileAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { compile } from '../recipe/compile.js';
import { needsOf, type Phase, type PhaseName } from '../recipe/phase.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { requireStartable } from './pipeline.js';
import {
  askQueue,
  readJobs,
  recordJobs,
  type SlurmJob,
  slurmFolder,
  slurmOutput,
} from './slurm/slurm-jobs.js';
import { batchScript } from './slurm/slurm-script.js';

/** A batch script for one phase, or for modules as an array. */
interface PhaseJob {
  /** Name of the script in the run's folder `slurm`. */
  readonly file: string;
  readonly phases: readonly PhaseName[];
  readonly needs: readonly PhaseName[];
  readonly text: string;
}

interface SlurmRun {
  readonly recipe: Recipe;
  readonly runDir: string;
  /** The phases to run. */
  readonly phases: readonly Phase[];
  /** The command that starts a phase's process. `RUN PHASE` is appended. */
  readonly command: readonly string[];
}

/** The jobs of phases, each after the jobs that it needs. The modules are one array. */
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
    // Escape per cent signs in the folder's name, which Slurm would read as patterns.
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
 * Submits those phases of a run to Slurm that are neither done nor already submitted, and writes scripts and job numbers to
 * the run's folder `slurm`. A job that waits for a job that fails leaves the queue.
 * @returns the new jobs
 * @throws InputError if a phase starts from a phase that is neither done nor submitted; RunError if Slurm refuses a job
 */
export async function submitRun(run: SlurmRun): Promise<SlurmJob[]> {
  const { runDir } = run;
  const queued = new Map<string, string>();
  const before = readJobs(runDir);
  const queue = await askQueue(before.map(({ job }) => job));
  // If Slurm cannot be asked, jobs that were submitted before may still exist. sbatch will then report the reason.
  for (const { phase, job } of before) if (queue?.has(job) ?? true) queued.set(phase, job);
  const isDone = (name: PhaseName) => readResult(runDir, name) !== undefined;
  const phases = run.phases.filter(({ name }) => !isDone(name) && !queued.has(name));
  requireStartable(
    { phases: compile(run.recipe), runDir },
    phases,
    (name) => isDone(name) || queued.has(name),
    ['--launcher', 'slurm'],
  );

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
    const stdout = await slurmOutput('sbatch', ['--parsable', ...dependency, resolve(path)]);
    // With several clusters, the output is `12;name`.
    const [id] = stdout.split(';');
    const jobs = names.map((phase) => {
      const task = phase.startsWith('MT/') ? `_${phase.slice(3)}` : '';
      return { phase, job: `${id}${task}`, script: file, submitted: new Date().toISOString() };
    });
    // Later jobs wait for the whole array.
    for (const phase of names) queued.set(phase, id);
    // Record the job immediately, so that it is known if this process is killed.
    recordJobs(runDir, jobs);
    submitted.push(...jobs);
  }
  return submitted;
}
