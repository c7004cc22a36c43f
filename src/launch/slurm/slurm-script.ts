import { quoted } from '../../base/shell.js';

/** Options and work of a batch script. */
interface BatchScript {
  readonly name: string;
  /** Path of the job's output file. Slurm replaces `%A`, `%a` and `%j`. */
  readonly output: string;
  /** More options of sbatch, each `--key=value`. */
  readonly options: readonly string[];
  /** Task numbers of an array. */
  readonly array?: readonly number[];
  /** Number of processes that work together. */
  readonly ranks: number;
  /** Shell lines before the work. */
  readonly setup: string;
  /** The command that does the work. `$phase` is the phase, which may depend on the array's task. */
  readonly command: readonly string[];
  /** The phase in shell syntax: `PT`, or `MT/$SLURM_ARRAY_TASK_ID`. */
  readonly phase: string;
  readonly runDir: string;
  /** Maximum number of restarts in a row without a new checkpoint. */
  readonly restarts: number;
  /** Seconds before the time limit at which the work is asked to save. */
  readonly warning: number;
}

/**
 * The script of a job. Exit codes of the work: 0: done; 1, 2: it reported why it failed, and trying again does not help;
 * 129, 130, 143: it was asked to stop and has saved a checkpoint; 125, 126 and above: it died, and is restarted in the same
 * job. Near the time limit (SIGUSR1, only to the shell) the work is asked to stop and the job is queued again. If Slurm ends
 * the job itself (scancel, preemption, `scontrol requeue`), it signals both the shell and the work, and decides whether the
 * job is queued again.
 */
export function batchScript(script: BatchScript): string {
  const { name, output, options, array, ranks, setup, command, phase, runDir, restarts, warning } = script;
  const asked = [
    `--job-name=${name}`,
    `--output=${output}`,
    '--open-mode=append',
    ...(array === undefined ? [] : [`--array=${ranges(array)}`]),
    `--ntasks=${ranks}`,
    '--requeue',
    `--signal=B:USR1@${warning}`,
    ...options,
  ];
  return `#!/bin/bash
${asked.map((option) => `#SBATCH ${quoted(option)}`).join('\n')}

run=${quoted(runDir)}
phase="${phase}"
${setup.trim() === '' ? '' : `\n${setup.trim()}\n`}
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
export MASTER_ADDR MASTER_PORT
# Slurm gives them to sbatch's options, and srun no more.
if [ -n "$SLURM_CPUS_PER_TASK" ]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi

stopped=
deaths=0
again=0
trap 'stopped=1' TERM
trap 'stopped=1; scancel --signal=TERM "$SLURM_JOB_ID"' USR1

checkpoints() { ls "$run/$phase/checkpoints" 2>/dev/null; }
# Only where Slurm is not ending the job itself: a job that was cancelled must not come back.
requeue() {
  if [ "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)" = RUNNING ]; then
    scontrol requeue "$SLURM_JOB_ID"
  fi
}

while :; do
  before=$(checkpoints)
  export DEEP_INCUBATION_RESTARTS=$((again + \${SLURM_RESTART_COUNT:-0}))
  srun ${command.map((word) => (word.startsWith('$') ? `"${word}"` : quoted(word))).join(' ')} &
  work=$!
  wait "$work"
  code=$?
  # A signal ends a wait, not the work.
  while kill -0 "$work" 2>/dev/null; do
    wait "$work"
    code=$?
  done
  case $code in
    0) exit 0 ;;
    129 | 130 | 143) stopped=1 ;;
  esac
  if [ -n "$stopped" ]; then
    requeue
    exit "$code"
  fi
  if [ "$code" -lt 125 ]; then exit "$code"; fi
  if [ "$(checkpoints)" != "$before" ]; then deaths=0; fi
  deaths=$((deaths + 1))
  again=$((again + 1))
  if [ "$deaths" -gt ${restarts} ]; then exit "$code"; fi
  export DEEP_INCUBATION_LAST_ERROR="its process died with exit code $code"
  echo "$phase died with exit code $code; resuming from its last checkpoint (restart $again)"
  sleep $((deaths < 6 ? 2 ** deaths : 60))
done
`;
}

/** `0-3,5` for 0, 1, 2, 3, 5. */
export function ranges(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === number - 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}
